import { recordsPrefix, parseKey, type JobAddress } from '../../archive/keys.ts';
import { findPlaces, type ScanPlace } from '../../archive/find/scan-records.ts';
import type { RecordFilters } from '../../archive/find/record-filters.ts';
import { giveUp } from '../../errors.ts';
import { forEachInFlight } from '../../in-flight.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import type { LedgerEntry } from '../formats/formats.ts';
import { Chain } from '../verify/chain/chain.ts';
import { SealedKeyFiles } from '../verify/chain/sealed-key-files.ts';
import { judgeTail, walkLedger } from '../verify/objects/walk.ts';
import { isFinding, type Result } from '../verify/results.ts';
import { Meter, type Scope } from '../verify/scope.ts';
import { openRing } from '../verify/verify.ts';
import type { ChosenRecord } from './choose-jobs.ts';

/** What the ledger says, as a verifier reads it, of an archive that is about to be exported. */
export interface LedgerView {
  /** Records that were sealed, may have been meant, and are gone. */
  readonly gone: readonly GoneRecord[];
  /** The files of keys and revocations that have entries, and in which digest. */
  readonly keyFiles: ReadonlyMap<string, number>;
  /** The digests that vouch for nothing. */
  readonly notBelieved: ReadonlySet<number>;
}

export interface GoneRecord {
  readonly entry: LedgerEntry;
  readonly address: JobAddress;
  readonly revision: number;
  readonly sequence: number;
}

/** Records that are gone; more of them are no matter for an export. */
const GONE_MAX = 100_000;
/** Keys whose objects are looked for together. */
const BATCH_KEYS = 1_000;
const LOOKS_IN_FLIGHT_MAX = 16;
const OF_SEQUENCE = /^ledger\/(?:digests\/(\d{10})\/|checkpoints\/(\d{10})\.note$)/;
/** What keeps a digest from vouching for what it covers. */
const DISBELIEVED: ReadonlySet<string> = new Set([
  'MODIFIED',
  'BAD_SIGNATURE',
  'UNKNOWN_KEY',
  'REVOKED_KEY',
  'FORKED',
]);
/** Of locks an export says nothing, and what no digest covers is told of what is exported alone. */
const PASSED_OVER: ReadonlySet<string> = new Set(['RETENTION_SHORT', 'UNSEALED']);

/**
 * Walks along the whole ledger, judging every digest as `verify` does, and finds the records that it sealed and that are not
 * there any more. What it cannot tell because the ledger itself lacks something is a problem.
 * @throws EverlogError `usage` where more than 100,000 records are gone
 */
export async function viewLedger(
  store: ObjectStore,
  filters: RecordFilters,
  chosen: readonly ChosenRecord[],
  hooks: {
    readonly now: Date;
    readonly onProblem: (key: string, problem: string) => void;
    readonly onDigest: (sequence: number) => void;
  },
): Promise<LedgerView> {
  const notBelieved = new Set<number>();
  const report = (result: Result): Promise<void> => {
    if (!isFinding(result) || PASSED_OVER.has(result.result)) return Promise.resolve();
    const { key, detail } = result;
    const [, digest, note] = OF_SEQUENCE.exec(key) ?? [];
    // Also of a digest that covers nothing of what is exported: what it had sealed may be gone with it.
    hooks.onProblem(key, `${result.result}: ${detail}`);
    if (DISBELIEVED.has(result.result)) notBelieved.add(Number(digest ?? note ?? 0));
    return Promise.resolve();
  };
  const nowMs = hooks.now.getTime();
  const scope: Scope = {
    store,
    isBundle: false,
    level: 'ledger',
    sample: null,
    // An end: how long ago the last digest was made is nothing against what it covers.
    range: { fromMs: null, toMs: nowMs },
    selected: null,
    nowMs,
    report,
    meter: new Meter(),
  };
  const ring = await openRing(scope, null);
  const chain = new Chain(ring, false);
  const keyFiles = new SealedKeyFiles(ring);
  const search = new GoneSearch(store, filters, await findPlaces(store, filters), chosen, hooks.onDigest);
  const walked = await walkLedger(scope, chain, ring, keyFiles, search);
  for (const result of await judgeTail(scope, chain, walked)) await report(result);
  const terms = { lastWindowEndMs: null, graceMs: 0 };
  for (const result of keyFiles.judge(terms).results) await report(result);
  return { gone: await search.finish(), keyFiles: keyFiles.sequences(), notBelieved };
}

class GoneSearch {
  readonly #store: ObjectStore;
  readonly #filters: RecordFilters;
  readonly #places: readonly ScanPlace[];
  readonly #chosen: ReadonlySet<string>;
  readonly #onDigest: (sequence: number) => void;
  #batch: GoneRecord[] = [];
  readonly #gone = new Map<string, GoneRecord>();

  constructor(
    store: ObjectStore,
    filters: RecordFilters,
    places: readonly ScanPlace[],
    chosen: readonly ChosenRecord[],
    onDigest: (sequence: number) => void,
  ) {
    this.#store = store;
    this.#filters = filters;
    this.#places = places;
    this.#chosen = new Set(chosen.map(({ key }) => key));
    this.#onDigest = onDigest;
  }

  /** Takes an entry of the ledger as it is walked along. */
  async take({ entry, sequence }: { readonly entry: LedgerEntry; readonly sequence: number }): Promise<void> {
    this.#onDigest(sequence);
    const parsed = parseKey(entry.key);
    if (parsed?.type !== 'record' || this.#chosen.has(entry.key)) return;
    if (!this.#places.some(({ prefix }) => entry.key.startsWith(prefix))) return;
    const { address, revision } = parsed;
    if (!mayBeMeant(address, entry, this.#filters)) return;
    this.#batch.push({ entry, address, revision, sequence });
    if (this.#batch.length >= BATCH_KEYS) await this.#look();
  }

  async finish(): Promise<readonly GoneRecord[]> {
    await this.#look();
    return [...this.#gone.values()];
  }

  async #look(): Promise<void> {
    const batch = this.#batch;
    this.#batch = [];
    await forEachInFlight(batch, LOOKS_IN_FLIGHT_MAX, async (record) => {
      const { key } = record.entry;
      if (this.#gone.has(key) || (await this.#store.head(key)) !== null) return;
      if (await this.#hasOther(record)) return;
      this.#gone.set(key, record);
      if (this.#gone.size > GONE_MAX)
        throw giveUp('usage', `more than ${GONE_MAX} records are gone; export in parts, such as by --repo`);
    });
  }

  /** Whether another revision of the job stands that is not exported: then the filters do not mean the job. */
  async #hasOther({ address }: GoneRecord): Promise<boolean> {
    const { host, owner, repo, runId, runAttempt, jobId } = address;
    const stem = `${recordsPrefix({ host, owner, repo, runId })}${runAttempt}/${jobId}.`;
    for await (const { key } of this.#store.list(stem)) {
      if (parseKey(key)?.type === 'record') return !this.#chosen.has(key);
    }
    return false;
  }
}

/** By what a key alone says; whatever else the filters ask for, nobody can tell of a record that is gone. */
function mayBeMeant(
  { host, runId, runAttempt, jobId }: JobAddress,
  { log }: LedgerEntry,
  filters: RecordFilters,
): boolean {
  const { since, until } = filters;
  const parsed = log === undefined ? null : parseKey(log.key);
  const day = parsed?.type === 'log' ? parsed.dt : null;
  return (
    (filters.host === undefined || filters.host === host) &&
    (filters.runId === undefined || filters.runId === runId) &&
    (filters.attempt === undefined || filters.attempt === runAttempt) &&
    (filters.jobId === undefined || filters.jobId === jobId) &&
    (filters.anyId === undefined || filters.anyId === jobId || filters.anyId === runId) &&
    (day === null || since === undefined || day >= since.toISOString().slice(0, 10)) &&
    (day === null || until === undefined || day <= until.toISOString().slice(0, 10))
  );
}

/** A record of which there is but its entry, as a row of the index: what the key says, and nothing else. */
export function goneRecord({ entry, address, revision }: GoneRecord, writtenMs: number): ChosenRecord {
  const { host, owner, repo, runId, runAttempt, jobId } = address;
  const unknown = {
    job_name: null,
    workflow_name: null,
    head_branch: null,
    head_sha: null,
    conclusion: null,
  };
  const times = { started_at: null, completed_at: null, recorded_at: '' };
  const ids = { host, owner, repo, run_id: runId, run_attempt: runAttempt, job_id: jobId };
  const facts = { ...ids, ...unknown, ...times, outcome: 'gone', log: null };
  return { key: entry.key, address, revision, writtenMs, sha256: entry.sha256, facts, askedFor: null };
}
