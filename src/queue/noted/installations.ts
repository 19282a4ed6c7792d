import { z } from 'zod';
import type { KeyValueNotes } from '../key-value-notes.ts';

/** Whether each known installation of the App on a host was suspended when they were last listed, by its id. */
export type KnownInstallations = Readonly<Record<string, boolean>>;

/** Longer than any pause between polls that is worth comparing over. */
const KEPT_MS = 30 * 24 * 60 * 60_000;

const knownSchema = z.record(z.string(), z.boolean());

/** Notes the installations of a host. */
export async function noteInstallations(
  notes: Pick<KeyValueNotes, 'note'>,
  host: string,
  known: KnownInstallations,
): Promise<void> {
  await notes.note(installationsName(host), JSON.stringify(known), KEPT_MS);
}

/** The installations noted, by host; a host whose installations were never listed is not in it. */
export async function readInstallations(
  notes: Pick<KeyValueNotes, 'noted'>,
  hosts: readonly string[],
): Promise<ReadonlyMap<string, KnownInstallations>> {
  const texts = await notes.noted(hosts.map(installationsName));
  const found = new Map<string, KnownInstallations>();
  for (const [index, host] of hosts.entries()) {
    const parsed = knownSchema.safeParse(JSON.parse(texts[index] ?? 'null'));
    if (parsed.success) found.set(host, parsed.data);
  }
  return found;
}

function installationsName(host: string): string {
  return `installations/${host}`;
}
