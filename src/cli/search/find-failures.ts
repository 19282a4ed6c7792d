import { isFailed } from '../../archive/find/conclusion.ts';
import { FailureHistory } from '../../archive/find/failing-since.ts';
import type { StoredRecord } from '../../archive/find/find-records.ts';
import { momentMsOf, type RecordFilters } from '../../archive/find/record-filters.ts';
import { SeenValues } from '../../archive/find/seen-values.ts';
import type { JobRecord } from '../../archive/record.ts';
import { readingHooks, type JobFinder } from '../read/find-jobs.ts';
import { tellEmptiness } from '../read/ls.ts';
import type { ReadingDeps, ReadingSession } from '../read/reading-session.ts';
import { formatCount, formatMoment } from '../terminal/format.ts';

/** How long before the wanted time the first failure of a job is looked for. */
const HISTORY_DAYS = 30;
const DAY_MS = 86_400_000;

interface FoundFailures {
  /** The newest first; through the index no more than one beyond the limit. */
  readonly failed: readonly StoredRecord[];
  /** How jobs of their names ended before. */
  readonly history: FailureHistory;
  /** How many there are; null where only that there are more is known. */
  readonly count: number | null;
}

/**
 * Finds failed jobs: through the index only the records of those that are wanted are read, and their history comes of its rows.
 * Says why where there are none.
 * @throws EverlogError where the archive does not answer
 */
export async function findFailures(
  deps: ReadingDeps,
  session: ReadingSession,
  finder: JobFinder,
  filters: RecordFilters,
  limit: number,
): Promise<FoundFailures> {
  const fromMs = (filters.since ?? deps.now()).getTime() - HISTORY_DAYS * DAY_MS;
  if (finder.isIndexed) {
    const failed = await failuresByIndex(session, finder, filters, limit);
    const history =
      failed.length === 0 ? new FailureHistory() : await historyByIndex(finder, filters, fromMs);
    if (finder.isIndexed && history !== null) {
      if (failed.length === 0) await tellNoFailures(deps, session, finder, filters);
      return { failed, history, count: failed.length > limit ? null : failed.length };
    }
  }
  return scanFailures(deps, session, finder, filters, fromMs);
}

async function failuresByIndex(
  session: ReadingSession,
  finder: JobFinder,
  filters: RecordFilters,
  limit: number,
): Promise<StoredRecord[]> {
  const failed: StoredRecord[] = [];
  const hooks = readingHooks(session, new SeenValues(filters));
  const found = finder.find({ ...filters, failed: true }, { ...hooks, limit: limit + 1 });
  for await (const stored of found) failed.push(stored);
  session.progress.clear();
  return failed;
}

/** Null where the index turns out to be unusable. */
async function historyByIndex(
  finder: JobFinder,
  { host, owner, repo }: RecordFilters,
  fromMs: number,
): Promise<FailureHistory | null> {
  const place = {
    ...(host === undefined ? {} : { host }),
    ...(owner === undefined ? {} : { owner }),
    ...(repo === undefined ? {} : { repo }),
  };
  return finder.ask(async (index) => {
    const history = new FailureHistory();
    const hits = index.search({ ...place, since: new Date(fromMs) }, { also: ['repository_id'] });
    for await (const hit of hits) {
      const [hitOwner = '', hitRepo = ''] = hit.repository.split('/');
      const completed_at = hit.completed_at === null ? null : isoOf(hit.completed_at);
      history.see({ ...hit, owner: hitOwner, repo: hitRepo, completed_at });
    }
    return history;
  });
}

/** As GitHub writes times: without the fraction, which is 0. */
function isoOf(ms: number): string {
  return new Date(ms).toISOString().replace('.000Z', 'Z');
}

async function tellNoFailures(
  deps: ReadingDeps,
  session: ReadingSession,
  finder: JobFinder,
  filters: RecordFilters,
): Promise<void> {
  const seen = new SeenValues(filters);
  const looked = await finder.see(filters, seen);
  const unknown = looked === null ? [] : seen.unknown();
  if (looked === 0 || unknown.length > 0)
    await tellEmptiness(deps, session, filters, { looked: looked ?? 0, unknown });
  else await session.say(`No recorded job failed${sinceWords(filters)}.`);
  await finder.explain(session);
}

function sinceWords({ since }: RecordFilters): string {
  return since === undefined ? '' : ` since ${formatMoment(since.toISOString())} UTC`;
}

async function scanFailures(
  deps: ReadingDeps,
  session: ReadingSession,
  finder: JobFinder,
  filters: RecordFilters,
  fromMs: number,
): Promise<FoundFailures> {
  const history = new FailureHistory();
  const seen = new SeenValues(filters);
  const noting = readingHooks(session, seen);
  const hooks = {
    ...noting,
    onRecord: (record: JobRecord) => {
      noting.onRecord(record);
      const momentMs = momentMsOf(record);
      if (momentMs >= fromMs) history.see({ ...record, momentMs });
    },
  };
  const failed: StoredRecord[] = [];
  for await (const stored of finder.all(filters, hooks)) {
    if (isFailed(stored.record.conclusion)) failed.push(stored);
  }
  session.progress.clear();
  if (failed.length === 0) {
    const unknown = seen.unknown();
    const looked = seen.jobs;
    if (looked === 0 || unknown.length > 0) await tellEmptiness(deps, session, filters, { looked, unknown });
    else await session.say(`No recorded job failed${sinceWords(filters)}; ${formatCount(looked)} looked at.`);
  }
  failed.sort((a, b) => momentMsOf(b.record) - momentMsOf(a.record) || b.record.job_id - a.record.job_id);
  return { failed, history, count: failed.length };
}
