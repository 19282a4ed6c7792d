import { createHash } from 'node:crypto';
import type { StoredRecord } from '../../archive/find/find-records.ts';
import { EverlogError } from '../../errors.ts';
import { lookUpCoverage } from '../../ledger/coverage.ts';
import type { ObjectStore } from '../../store/object-store.ts';

/** What the ledger says of the records of a list. */
export interface CoverageMarks {
  /** Whether there is a ledger, and it could be read. */
  readonly ledger: 'read' | 'none' | 'unread';
  /** By key: what does not stand in the ledger as it is shown. Records that are missing here do. */
  readonly marks: ReadonlyMap<string, 'unsealed' | 'changed' | 'unknown'>;
}

/** Records remembered as covered: what a digest has sealed stays sealed. */
const COVERED_KEPT_MAX = 20_000;

/** Looks up which records of a list the ledger covers, as commands do; what is covered is asked once. */
export class CoverageLooks {
  readonly #store: ObjectStore;
  readonly #covered = new Set<string>();

  constructor(store: ObjectStore) {
    this.#store = store;
  }

  /** Never fails a page that shows what was asked for: what could not be looked up is marked so. */
  async of(records: readonly StoredRecord[]): Promise<CoverageMarks> {
    const nameOf = ({ key, bytes }: StoredRecord): string =>
      `${key} ${createHash('sha256').update(bytes).digest('hex')}`;
    const open = records.filter((stored) => !this.#covered.has(nameOf(stored)));
    if (open.length === 0) return { ledger: 'read', marks: new Map() };
    try {
      const shown = open.map(({ key, bytes, record }) => ({ key, bytes, writtenAt: record.recorded_at }));
      const { hasLedger, uncovered, changed, notLookedFor } = await lookUpCoverage(this.#store, shown);
      if (!hasLedger) return { ledger: 'none', marks: new Map() };
      const marks = new Map<string, 'unsealed' | 'changed' | 'unknown'>();
      for (const key of uncovered) marks.set(key, 'unsealed');
      for (const key of changed) marks.set(key, 'changed');
      for (const key of notLookedFor) marks.set(key, 'unknown');
      if (this.#covered.size > COVERED_KEPT_MAX) this.#covered.clear();
      for (const stored of open) if (!marks.has(stored.key)) this.#covered.add(nameOf(stored));
      return { ledger: 'read', marks };
    } catch (error) {
      if (!(error instanceof EverlogError)) throw error;
      return { ledger: 'unread', marks: new Map(open.map(({ key }) => [key, 'unknown'])) };
    }
  }
}
