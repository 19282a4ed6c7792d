import type { StoredRecord } from '../../archive/find/find-records.ts';
import type { RecordFilters } from '../../archive/find/record-filters.ts';
import { giveUp } from '../../errors.ts';
import { JobFinding } from '../../index/find-jobs.ts';
import type { IndexCoverage } from '../../index/job-index.ts';
import { repositoryPlace, type ReadProblems } from '../read-problems.ts';
import type { Page } from '../requests.ts';
import type { Site } from '../site.ts';
import { Turns, type TurnLimits } from '../turns.ts';

/** Jobs shown on a list page. */
export const LISTED_MAX = 100;
/** Jobs looked at for those that a reader may see, where that is to be asked of each repository. */
export const LOOKED_AT_MAX = 1_000;
/** Repositories that GitHub is asked about for one page. */
export const REPOSITORIES_ASKED_MAX = 50;
/** Keys read through where there is no index: a few seconds of one core. */
const KEYS_MAX = 100_000;
/** Readings of an archive without an index. */
const SCANS: TurnLimits = { atOnce: 2, waiting: 64, ofOneReader: 16 };

export interface FoundJobs {
  readonly records: readonly StoredRecord[];
  /**
   * `all` that match; the `newest` of them; or, for who may not read all, `some`: whether more match is not said, as it may be
   * of what they may not know.
   */
  readonly reach: 'all' | 'newest' | 'some';
  /** What the index covers; null where every record was read. */
  readonly coverage: IndexCoverage | null;
}

const scans = new Turns(SCANS);

/**
 * The newest jobs that pass and that the reader may see, through the index where there is one.
 * @throws EverlogError `usage` where the archive has no index and is too large to be read through for a page.
 */
export async function findJobs(
  site: Site,
  c: Page,
  filters: RecordFilters,
  problems: ReadProblems,
): Promise<FoundJobs> {
  const { store } = site.deps;
  const limit = c.get('reader').readsAll ? LISTED_MAX + 1 : LOOKED_AT_MAX;
  let close = async (): Promise<void> => undefined;
  try {
    const finding = await JobFinding.open({
      archive: store,
      openIndex: async () => {
        const opened = await site.deps.openIndex(problems.hooks.onProblem);
        if (opened !== null) close = () => opened.close();
        return opened?.index ?? null;
      },
      onUnusable: (problem) => problems.hooks.onProblem('the query index', problem),
    });
    const options = { ...problems.hooks, limit, onKey: keyLimit() };
    const find = (): Promise<Omit<FoundJobs, 'coverage'>> => chosen(site, c, finding.find(filters, options));
    const found = await (finding.index === null
      ? scans.take(c.get('reader'), find, c.req.raw.signal)
      : find());
    return { ...found, coverage: finding.index?.coverage ?? null };
  } finally {
    await close();
  }
}

/** Ends a reading of records that would take too long for a page. */
function keyLimit(): () => void {
  let keys = 0;
  return () => {
    keys += 1;
    if (keys <= KEYS_MAX) return;
    const most = KEYS_MAX.toLocaleString('en-US');
    throw giveUp(
      'usage',
      `there is no query index that can be used, and more than ${most} records would have to be read: everlog index rebuild makes one`,
    );
  };
}

async function chosen(
  site: Site,
  c: Page,
  found: AsyncIterable<StoredRecord>,
): Promise<Omit<FoundJobs, 'coverage'>> {
  const records: StoredRecord[] = [];
  const asked = new Set<string>();
  for await (const stored of found) {
    const place = repositoryPlace(stored.record);
    if (!asked.has(place) && asked.size >= REPOSITORIES_ASKED_MAX) continue;
    asked.add(place);
    if (!(await site.may(c, stored.record))) continue;
    if (records.length >= LISTED_MAX) return { records, reach: 'newest' };
    records.push(stored);
  }
  return { records, reach: c.get('reader').readsAll ? 'all' : 'some' };
}
