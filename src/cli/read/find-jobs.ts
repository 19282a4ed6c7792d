import type { ReadingHooks, StoredRecord } from '../../archive/find/find-records.ts';
import type { RecordFilters } from '../../archive/find/record-filters.ts';
import type { SeenValues } from '../../archive/find/seen-values.ts';
import type { JobRecord } from '../../archive/record.ts';
import { JobFinding } from '../../index/find-jobs.ts';
import type { JobIndex } from '../../index/job-index.ts';
import { inertText } from '../../log/terminal-sanitiser.ts';
import { counted, formatBytes, formatCount, formatMoment } from '../terminal/format.ts';
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

  /** What is made of the index; null where there is none that can be used. */
  ask<T>(ask: (index: JobIndex) => Promise<T>): Promise<T | null>;

  /**
   * After an answer through the index that found nothing: takes note of what jobs of the same host, owner and repository
   * have. Answers how many were looked at; null where they were too many, or where all records were read anyway.
   */
  see(filters: RecordFilters, seen: SeenValues): Promise<number | null>;

  /** Says what the answer cost and how far it reaches. */
  explain(session: ReadingSession): Promise<void>;

  /** Whether answers come through the index: not, or not any more, where its files turn out to be unusable. */
  readonly isIndexed: boolean;
}

/** Jobs looked at to tell which values exist. */
const SEEN_MAX = 200_000;

/** Opens the finder of a command. An index that cannot be used is told, and the records are read instead. */
export async function openFinder(deps: ReadingDeps, session: ReadingSession): Promise<JobFinder> {
  const finding = await JobFinding.open({
    archive: deps.store,
    openIndex: async () => (await deps.openIndex?.(session.noteProblem)) ?? null,
    onUnusable: (problem) =>
      session.say(
        `everlog: the query index cannot be used, so the records are read instead: ${inertText(problem)}`,
      ),
  });
  return {
    get isIndexed() {
      return finding.index !== null;
    },
    find: (filters, options) => finding.find(filters, options),
    all: (filters, hooks) => finding.all(filters, hooks),
    ask: (ask) => finding.ask(ask),
    see: (filters, seen) => finding.ask((index) => seeValues(index, filters, seen)),
    explain: (said) => tellReach(finding.index, said),
  };
}

/**
 * What reading records tells a session: what is wrong with them, and how many were read, behind the words of `doing`. Each is
 * noted in `seen`.
 */
export function readingHooks(
  session: ReadingSession,
  seen: SeenValues,
  doing = '',
): ReadingHooks & { readonly onRecord: (record: JobRecord) => void } {
  return {
    onProblem: session.noteProblem,
    onOddity: session.noteOddity,
    onRecord: (record) => {
      seen.see(record);
      session.progress.show(() => `${doing}${formatCount(seen.jobs)} records read`);
    },
  };
}

async function seeValues(
  index: JobIndex,
  { host, owner, repo }: RecordFilters,
  seen: SeenValues,
): Promise<number | null> {
  const place = {
    ...(host === undefined ? {} : { host }),
    ...(owner === undefined ? {} : { owner }),
    ...(repo === undefined ? {} : { repo }),
  };
  for await (const hit of index.search(place, { expected: SEEN_MAX })) {
    if (seen.jobs >= SEEN_MAX) return null;
    seen.see({ ...hit, sender: null });
  }
  return seen.jobs;
}

async function tellReach(index: JobIndex | null, session: ReadingSession): Promise<void> {
  if (index === null) {
    return session.say(
      'Without an index: every record of the place was read. `everlog index rebuild` makes one.',
    );
  }
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
}
