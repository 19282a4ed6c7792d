import { forEachInFlight } from '../../in-flight.ts';
import { parseKey } from '../../archive/keys.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { parseRecord } from '../../archive/record.ts';
import type { LedgerEntry } from '../formats/formats.ts';
import type { BundleFolder } from './bundle/bundle-folder.ts';
import { bundleFacts } from './choose-jobs.ts';
import type { ChosenRecord } from './choose-jobs.ts';
import { copySealed } from './copy-sealed.ts';
import type { CopiedEntry } from './copy-sealed.ts';
import type { Digests } from './digests.ts';
import type { EntryFiles } from './entry-files.ts';
import { findErasures, repositoryOfKey } from './erasures.ts';
import type { Erasure } from './erasures.ts';
import { findSealed } from './find-sealed.ts';
import type { SearchHooks } from './find-sealed.ts';
import type { LedgerView } from './ledger-view.ts';
import type { IndexRow, Status } from './bundle/index-rows.ts';

/** Objects copied at once: hides a store's latency, stays far below the limit of open files. */
const COPIES_IN_FLIGHT_MAX = 8;

export interface CollectingDeps {
  readonly store: ObjectStore;
  readonly folder: BundleFolder;
  readonly digests: Digests;
  readonly files: EntryFiles;
  readonly view: LedgerView;
  /** What keeps the bundle from being all that it should be, beside what its rows say. */
  readonly onProblem: (key: string, problem: string) => void;
  readonly onProgress: (done: { readonly digest: number; readonly copied: number }) => void;
}

/** Statuses that rest on a digest. */
const SEALED: ReadonlySet<Status> = new Set(['sealed', 'erased', 'expired']);

/** What was copied into the bundle. */
export interface CollectedEvidence {
  readonly rows: readonly IndexRow[];
  readonly records: number;
  readonly logs: number;
  /** Of records, logs and custody objects, as stored. */
  readonly bytes: number;
}

/** A chosen record while its evidence is gathered. */
interface Gathered {
  /** With the facts of the version that was sealed, once that is known. */
  record: ChosenRecord;
  status: Status;
  sequence: number | null;
  custody: string | null;
  /** Keys of what is gone. */
  readonly gone: string[];
}

/**
 * Finds the ledger's entries of the chosen records, copies them with the records and logs that they vouch for, and the custody
 * objects that say who removed what is gone. What is in no digest is not copied: nothing would vouch for it.
 * @throws EverlogError where the store does not answer or the bundle cannot be written.
 */
export async function collectEvidence(
  deps: CollectingDeps,
  chosen: readonly ChosenRecord[],
): Promise<CollectedEvidence> {
  return new Collection(deps, chosen).run();
}

class Collection {
  readonly #deps: CollectingDeps;
  readonly #byKey: ReadonlyMap<string, Gathered>;
  #copied = 0;
  #records = 0;
  #logs = 0;
  #bytes = 0;
  #lastDigest = 0;
  #isLedgerDamaged = false;

  constructor(deps: CollectingDeps, chosen: readonly ChosenRecord[]) {
    this.#deps = deps;
    this.#byKey = new Map(
      chosen.map((record) => [
        record.key,
        { record, status: 'not_sealed', sequence: null, custody: null, gone: [] },
      ]),
    );
  }

  async run(): Promise<CollectedEvidence> {
    const sought = [...this.#byKey.values()].map(({ record }) => record);
    await this.#search(sought, (entry, copied, sequence) => this.#onRecord(entry, copied, sequence));
    if (this.#isLedgerDamaged) {
      for (const it of this.#byKey.values()) if (it.status === 'not_sealed') it.status = 'unproven';
    }
    await this.#explainAbsences();
    await this.#takeKeys();
    this.#disbelieve();
    const rows = [...this.#byKey.values()].map(({ record, status, sequence, custody }) => ({
      status,
      askedFor: record.askedFor,
      record,
      sequence,
      custody,
      problem: null,
    }));
    return { rows, records: this.#records, logs: this.#logs, bytes: this.#bytes };
  }

  /** The entries of keys and revocations say since when each is known, which decides whom to believe once a key is revoked. */
  async #takeKeys(): Promise<void> {
    const { files, digests, view } = this.#deps;
    if (files.digests().length === 0) return;
    const sought = [];
    for (const [key, sequence] of view.keyFiles) {
      const digest = await digests.from(sequence);
      if (digest !== null) sought.push({ key, writtenMs: digest.windowEndMs });
    }
    const bytes = this.#bytes;
    await this.#search(sought, () => undefined);
    this.#bytes = bytes;
  }

  /** What a digest covers that is not believed is not sealed, whatever its entries say. */
  #disbelieve(): void {
    const { notBelieved } = this.#deps.view;
    for (const it of this.#byKey.values()) {
      const isBad = it.sequence !== null && notBelieved.has(it.sequence);
      if (isBad && SEALED.has(it.status)) it.status = 'not_believed';
    }
  }

  /** Answers the keys that stand in no digest. */
  async #search(
    sought: readonly { readonly key: string; readonly writtenMs: number }[],
    onCopied: (entry: LedgerEntry, copied: CopiedEntry, sequence: number) => Promise<void> | void,
  ): Promise<ReadonlySet<string>> {
    const { store, folder, digests, files, onProblem } = this.#deps;
    const hooks: SearchHooks = {
      onLines: async (digest, lines) => {
        await files.add(digest, lines);
        await forEachInFlight(lines, COPIES_IN_FLIGHT_MAX, async ({ entry }) => {
          const copied = await copySealed(store, folder, entry);
          this.#bytes += copied.bytes;
          this.#copied += 1;
          await onCopied(entry, copied, digest.sequence);
          this.#tell();
        });
      },
      onProblem: (digest, problem) => {
        this.#isLedgerDamaged = true;
        onProblem(`digest ${digest.sequence}`, problem);
      },
      onDigest: (sequence) => {
        this.#lastDigest = sequence;
        this.#tell();
      },
    };
    return findSealed(store, digests, sought, hooks);
  }

  #tell(): void {
    this.#deps.onProgress({ digest: this.#lastDigest, copied: this.#copied });
  }

  async #onRecord(entry: LedgerEntry, { object, log }: CopiedEntry, sequence: number): Promise<void> {
    const { key } = entry;
    const it = this.#byKey.get(key);
    if (it === undefined) throw new Error(`${key} was not looked for`);
    if (object === 'sealed' && it.record.sha256 !== entry.sha256) await this.#takeSealedFacts(it);
    it.sequence = sequence;
    if (object !== 'missing') this.#records += 1;
    if (log !== null && log !== 'missing') this.#logs += 1;
    if (object === 'missing') it.gone.push(key);
    const logKey = entry.log?.key;
    if (log === 'missing' && logKey !== undefined) it.gone.push(logKey);
    const isGone = object === 'missing' || log === 'missing';
    const differs = object === 'differs' || log === 'differs';
    it.status = isGone ? 'missing' : differs ? 'differs' : 'sealed';
  }

  /** Somebody wrote the key again: what is exported is the sealed version, so that is what the index must tell of. */
  async #takeSealedFacts(it: Gathered): Promise<void> {
    const { folder, onProblem } = this.#deps;
    const { key } = it.record;
    onProblem(key, 'was written again after it was sealed; the sealed version is exported');
    const bytes = await folder.read(key);
    const parsed = bytes === null ? null : parseRecord(bytes);
    if (parsed?.ok === true) it.record = { ...it.record, facts: bundleFacts(parsed.record) };
  }

  async #explainAbsences(): Promise<void> {
    const unexplained = [...this.#byKey.values()].filter(
      ({ status, record }) => status === 'missing' || record.facts.outcome === 'erased',
    );
    if (unexplained.length === 0) return;
    const { store, onProblem } = this.#deps;
    const jobs = new Set(unexplained.map(({ record }) => jobOf(record.key)));
    const repositories = new Set([...this.#byKey.keys()].map((key) => repositoryOfKey(key) ?? ''));
    const sinceMs = Math.min(...unexplained.map(({ record }) => record.writtenMs));
    const found = await findErasures(store, sinceMs, (key) => jobs.has(jobOf(key)), repositories);
    const usable = found.filter(({ key, isForeign }) => {
      if (isForeign) onProblem(key, 'says who removed something, but names other repositories too: left out');
      return !isForeign;
    });
    const sealed = new Map<string, number>();
    await this.#search(usable, ({ key }, { object }, sequence) => {
      if (object === 'missing') onProblem(key, 'was sealed and is gone');
      else sealed.set(key, sequence);
    });
    for (const { key } of usable)
      if (!sealed.has(key)) onProblem(key, 'says who removed something, and is in no digest yet');
    for (const it of unexplained)
      explain(
        it,
        usable.filter(({ key }) => sealed.has(key)),
      );
  }
}

function explain(it: Gathered, erasures: readonly Erasure[]): void {
  const job = jobOf(it.record.key);
  const own = erasures.filter(({ objects }) => [...objects].some((key) => jobOf(key) === job));
  it.custody = own.at(-1)?.key ?? null;
  const reasons = it.gone.map((key) => own.find(({ objects }) => objects.has(key))?.word);
  const [first] = reasons;
  if (first !== undefined && !reasons.includes(undefined)) it.status = first;
}

/** A job across its record's and log's keys; empty for other keys. */
function jobOf(key: string): string {
  const parsed = parseKey(key);
  if (parsed?.type !== 'record' && parsed?.type !== 'log') return '';
  const { host, owner, repo, runId, jobId } = parsed.address;
  return `${host}/${owner}/${repo}/${runId}/${jobId}`;
}
