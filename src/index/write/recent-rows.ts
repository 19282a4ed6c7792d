import { recentKey } from '../../archive/index-keys.ts';
import { parseKey } from '../../archive/keys.ts';
import { parseRecord } from '../../archive/record.ts';
import type { ObjectStore, PutBody } from '../../store/object-store.ts';
import { compareJobRows, jobRow } from '../job-row.ts';
import type { JobRow } from '../parquet/columns.ts';
import { readThrough } from '../through.ts';
import { storePart } from './store-part.ts';
import { JOBS } from './tables.ts';

export interface RecentPlace {
  readonly index: ObjectStore;
  readonly spoolDir: string;
  readonly now: Date;
}

/** Rows that wait at most, about a kilobyte each; those that come while nobody takes them are left to the ledger. */
const ROWS_MAX = 20_000;

/**
 * What this process has recorded since the last digest may not be known to the index for an interval: its rows are stored
 * where readers look besides. Best effort: what is lost here comes in with the ledger.
 */
export class RecentRows {
  readonly #processId: string;
  #rows: JobRow[] = [];
  #files = 0;

  /** `processId` keeps the files of several processes apart: letters and digits, at most 30. */
  constructor(processId: string) {
    this.#processId = processId;
  }

  /** Rows that wait. */
  get count(): number {
    return this.#rows.length;
  }

  /** The archive for whoever commits to it: takes note of every record that is written through it. */
  watch(store: ObjectStore): ObjectStore {
    return {
      ...store,
      putIfAbsent: async (key, body, options) => {
        const put = await store.putIfAbsent(key, body, options);
        if (put.outcome === 'created') this.#note(key, body);
        return put;
      },
    };
  }

  /** Stores the rows noted since; nothing where no index follows a ledger, as nobody would read them or clear them away. */
  async flush({ index, spoolDir, now }: RecentPlace): Promise<void> {
    const rows = this.#rows;
    if (rows.length === 0) return;
    this.#rows = [];
    try {
      const through = await readThrough(index);
      if (through === null || through.sequence === 0) return;
      this.#files += 1;
      const key = recentKey(now, `${this.#processId}x${this.#files}`);
      await storePart(index, key, JOBS, [...rows].sort(compareJobRows), spoolDir);
    } catch (error) {
      this.#rows = [...rows, ...this.#rows].slice(0, ROWS_MAX);
      throw error;
    }
  }

  #note(key: string, body: PutBody): void {
    const parsed = parseKey(key);
    if (parsed?.type !== 'record' || this.#rows.length >= ROWS_MAX) return;
    const bytes = body.open();
    // Records are written from memory; a stream would be one that somebody copies.
    if (!(bytes instanceof Uint8Array)) return;
    const read = parseRecord(bytes);
    if (read.ok) this.#rows.push(jobRow({ record: read.record, address: parsed.address }, null));
  }
}
