import type { ReadingHooks, StoredRecord } from '../archive/find/find-records.ts';
import { matchingJobs } from '../archive/find/matching-jobs.ts';
import type { RecordFilters } from '../archive/find/record-filters.ts';
import { scanRecords } from '../archive/find/scan-records.ts';
import { EverlogError } from '../errors.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { indexedRecords } from './indexed-records.ts';
import type { JobIndex } from './job-index.ts';

/** What finding jobs needs. */
export interface FindingDeps {
  readonly archive: ObjectStore;
  /** Opens the query index; null where there is none. */
  readonly openIndex: () => Promise<JobIndex | null>;
  /** The index cannot be used: what is answered from now on comes of the records. */
  readonly onUnusable: (problem: string) => void | Promise<void>;
}

/**
 * Jobs through the query index where there is one that can be used, else by reading every record of the place. A file of the
 * index that is damaged, cut short or of a format that is not known costs time and never a job: the records say the rest.
 */
export class JobFinding {
  readonly #deps: FindingDeps;
  #index: JobIndex | null;

  private constructor(deps: FindingDeps, index: JobIndex | null) {
    this.#deps = deps;
    this.#index = index;
  }

  /** @throws EverlogError where a store does not answer */
  static async open(deps: FindingDeps): Promise<JobFinding> {
    try {
      return new JobFinding(deps, await deps.openIndex());
    } catch (error) {
      await tellUnusable(deps, error);
      return new JobFinding(deps, null);
    }
  }

  /** The index that answers come through; null where all records are read, also since the index turned out to be unusable. */
  get index(): JobIndex | null {
    return this.#index;
  }

  /** The newest records that pass, the newest first. @throws EverlogError where a store does not answer */
  find(
    filters: RecordFilters,
    options: ReadingHooks & { readonly limit: number },
  ): AsyncGenerator<StoredRecord> {
    return this.#through(
      (index) => indexedRecords(index, this.#deps.archive, filters, options),
      () => scanRecords(this.#deps.archive, filters, options),
    );
  }

  /** Every record that passes; in no promised order. @throws EverlogError where a store does not answer */
  all(filters: RecordFilters, hooks: ReadingHooks): AsyncGenerator<StoredRecord> {
    return this.#through(
      (index) => indexedRecords(index, this.#deps.archive, filters, hooks),
      () => matchingJobs(this.#deps.archive, filters, hooks),
    );
  }

  /**
   * What `ask` makes of the index; null where there is none that can be used.
   * @throws EverlogError where a store does not answer
   */
  async ask<T>(ask: (index: JobIndex) => Promise<T>): Promise<T | null> {
    if (this.#index === null) return null;
    try {
      return await ask(this.#index);
    } catch (error) {
      await this.#giveUpIndex(error);
      return null;
    }
  }

  async *#through(
    indexed: (index: JobIndex) => AsyncIterable<StoredRecord>,
    scanned: () => AsyncIterable<StoredRecord>,
  ): AsyncGenerator<StoredRecord> {
    if (this.#index === null) return yield* scanned();
    const told = new ToldJobs();
    try {
      for await (const stored of indexed(this.#index)) {
        told.add(stored);
        yield stored;
      }
      return;
    } catch (error) {
      if (told.isFull) throw error;
      await this.#giveUpIndex(error);
    }
    for await (const stored of scanned()) if (!told.has(stored)) yield stored;
  }

  async #giveUpIndex(error: unknown): Promise<void> {
    await tellUnusable(this.#deps, error);
    this.#index = null;
  }
}

/** Rethrows what is not the index's fault, or may pass: a store that does not answer now has to be asked again later. */
async function tellUnusable({ onUnusable }: FindingDeps, error: unknown): Promise<void> {
  if (!(error instanceof EverlogError) || error.remedy.kind !== 'give_up') throw error;
  await onUnusable(error.message);
}

/** Jobs remembered, some 40 bytes each. An index that breaks after so many ends the answer. */
const TOLD_MAX = 1_000_000;

/** Which jobs an answer has told of. */
class ToldJobs {
  readonly #ids = new Map<string, Set<number>>();
  #count = 0;

  get isFull(): boolean {
    return this.#count >= TOLD_MAX;
  }

  add({ address: { host, jobId } }: StoredRecord): void {
    if (this.isFull) return;
    this.#count += 1;
    this.#ids.set(host, (this.#ids.get(host) ?? new Set()).add(jobId));
  }

  has({ address: { host, jobId } }: StoredRecord): boolean {
    return this.#ids.get(host)?.has(jobId) === true;
  }
}
