import { RunFactsReader } from '../../archive/find/run-facts.ts';
import {
  newestRevisions,
  readRecord,
  type RecordEntry,
  type StoredRecord,
} from '../../archive/find/find-records.ts';
import { parseKey, placePrefix, RECORDS_ROOT, type RunAddress } from '../../archive/keys.ts';
import { momentMsOf } from '../../archive/find/record-filters.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { dayOf, jobRow } from '../job-row.ts';
import type { JobRow } from '../parquet/columns.ts';

/** A row, and the days under which it has to stand. */
export interface PlacedRow {
  readonly row: JobRow;
  /** Its own first; then those of the revisions it supersedes, which it has to outshine there. */
  readonly days: readonly string[];
}

/** Records that one supersedes which are followed: each look at a job writes one, and few are looked at so often. */
const SUPERSEDED_MAX = 100;

/** Makes rows of what stands in the archive. */
export class RowSource {
  readonly #archive: ObjectStore;
  readonly #runs: RunFactsReader;
  readonly #onProblem: (key: string, problem: string) => void;

  constructor(archive: ObjectStore, onProblem: (key: string, problem: string) => void) {
    this.#archive = archive;
    this.#runs = new RunFactsReader(archive);
    this.#onProblem = onProblem;
  }

  /** The row of a record; null where it is gone or cannot be read, which is told. */
  async rowOf(entry: RecordEntry): Promise<PlacedRow | null> {
    const read = await readRecord(this.#archive, entry);
    if (!read.ok) {
      // What was erased or has expired is no problem: its custody object says so.
      if ((await this.#archive.head(entry.key)) !== null) this.#onProblem(entry.key, read.problem);
      return null;
    }
    const { record } = read.stored;
    const row = jobRow(read.stored, await this.#runs.of(record));
    const days = new Set([dayOf(momentMsOf(record)), ...(await this.#earlierDays(read.stored))]);
    return { row, days: [...days] };
  }

  /** The newest record of each job of a run attempt. */
  async *jobsOf({ host, owner, repo, runId, runAttempt }: RunAddress): AsyncGenerator<RecordEntry> {
    const prefix = `${placePrefix(RECORDS_ROOT, { host, owner, repo, runId })}${runAttempt}/`;
    yield* newestRevisions(this.#archive.list(prefix));
  }

  async #earlierDays(stored: StoredRecord): Promise<string[]> {
    const days: string[] = [];
    let { supersedes } = stored.record;
    for (let looked = 0; supersedes !== null && looked < SUPERSEDED_MAX; looked += 1) {
      const parsed = parseKey(supersedes);
      if (parsed?.type !== 'record') break;
      const { address, revision } = parsed;
      const read = await readRecord(this.#archive, { key: supersedes, address, revision, bytes: 0 });
      if (!read.ok) break;
      days.push(dayOf(momentMsOf(read.stored.record)));
      supersedes = read.stored.record.supersedes;
    }
    return days;
  }
}
