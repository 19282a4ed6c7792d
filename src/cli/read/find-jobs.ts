import type { ReadingHooks, StoredRecord } from '../../archive/find/find-records.ts';
import { matchingJobs } from '../../archive/find/matching-jobs.ts';
import type { RecordFilters } from '../../archive/find/record-filters.ts';
import { scanRecords } from '../../archive/find/scan-records.ts';
import type { SeenValues } from '../../archive/find/seen-values.ts';
import { indexedRecords } from '../../index/indexed-records.ts';
import type { JobIndex } from '../../index/job-index.ts';
import { counted, formatBytes, formatMoment } from '../terminal/format.ts';
import type { ReadingDeps, ReadingSession } from './reading-session.ts';

/** Jobs as a command finds them: through the index where there is one, else by reading every record. */
export interface JobFinder {
  /** The newest records that pass, the newest first. */
  find(
    filters: RecordFilters,
    options: ReadingHooks & { readonly limit: number },
  ): AsyncIterable<StoredRecord>;

  /** Every record that passes; in no promised order. */
  all(filters: RecordFilters, hooks: ReadingHooks): AsyncIterable<StoredRecord>;

  /**
   * After an answer through the index that found nothing: takes note of what jobs of the same host, owner and repository
   * have. Answers how many were looked at; null where they were too many, or where all records were read anyway.
   */
  see(filters: RecordFilters, seen: SeenValues): Promise<number | null>;

  /** Says what the answer cost and how far it reaches. */
  explain(session: ReadingSession): Promise<void>;

  /** Whether answers come through the index. */
  readonly isIndexed: boolean;
}

/** Jobs looked at to tell which values exist. */
const SEEN_MAX = 200_000;

/** Opens the finder of a command. */
export async function openFinder(deps: ReadingDeps, session: ReadingSession): Promise<JobFinder> {
  const index = (await deps.openIndex?.(session.noteProblem)) ?? null;
  return index === null ? scanning(deps) : indexed(deps, index);
}

function scanning(deps: ReadingDeps): JobFinder {
  return {
    isIndexed: false,
    find: (filters, options) => scanRecords(deps.store, filters, options),
    all: (filters, hooks) => matchingJobs(deps.store, filters, hooks),
    see: async () => null,
    explain: (session) =>
      session.say('Without an index: every record of the place was read. `everlog index rebuild` makes one.'),
  };
}

function indexed(deps: ReadingDeps, index: JobIndex): JobFinder {
  return {
    isIndexed: true,
    find: (filters, options) => indexedRecords(index, deps.store, filters, options),
    all: (filters, hooks) => indexedRecords(index, deps.store, filters, hooks),
    async see({ host, owner, repo }, seen) {
      const place = {
        ...(host === undefined ? {} : { host }),
        ...(owner === undefined ? {} : { owner }),
        ...(repo === undefined ? {} : { repo }),
      };
      let looked = 0;
      for await (const hit of index.search(place, { expected: SEEN_MAX })) {
        looked += 1;
        if (looked > SEEN_MAX) return null;
        seen.see({ ...hit, sender: null });
      }
      return looked;
    },
    async explain(session) {
      const { requests, bytes } = index.meter;
      const { indexedThrough, sealedThrough, completeUntil } = index.coverage;
      await session.say(
        `Through the index: ${counted(requests, 'request')}, ${formatBytes(bytes)}, besides the records shown.`,
      );
      const until =
        completeUntil === null
          ? 'nothing is complete yet'
          : `complete until ${formatMoment(completeUntil.toISOString())} UTC`;
      await session.say(
        `Indexed up to digest ${indexedThrough}, read up to ${sealedThrough}: ${until}; of what was recorded since, what workers have told of.`,
      );
    },
  };
}
