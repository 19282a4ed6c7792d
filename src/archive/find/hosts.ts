import { RECORDS_ROOT, recordsPrefix } from '../keys.ts';
import type { ObjectStore } from '../../store/object-store.ts';

/** GitHub deployments in one archive: more host folders than this were not written by Everlog. */
const HOSTS_MAX = 1_000;

/** Hosts that have records, with one short listing per host. */
export async function findHosts(store: ObjectStore): Promise<string[]> {
  const hosts: string[] = [];
  let startAfter: string | undefined;
  for (;;) {
    const host = await firstHost(store, startAfter);
    if (host === null || hosts.length >= HOSTS_MAX) return hosts;
    hosts.push(host);
    // `0` follows `/` in key order, so this is behind every key of the host.
    startAfter = `${recordsPrefix({ host }).slice(0, -1)}0`;
  }
}

async function firstHost(store: ObjectStore, startAfter: string | undefined): Promise<string | null> {
  for await (const { key } of store.list(`${RECORDS_ROOT}host=`, startAfter)) {
    const [, host] = /^v1\/records\/host=([^/]+)\//.exec(key) ?? [];
    if (host !== undefined) return host;
  }
  return null;
}
