import { momentOf } from '../../archive/record.ts';
import { html } from '../html.ts';
import { ReadProblems } from '../read-problems.ts';
import type { Page } from '../requests.ts';
import type { Site } from '../site.ts';
import type { DaySums } from './day-sums.ts';
import { daysPage, gapsPage } from './days-page.ts';
import { daysBefore, withEmptyDays, type DigestDays } from './digest-days.ts';
import { findJobs } from './found-jobs.ts';
import { logoutForm, readerPage, statusPage, type Lag } from './status-page.ts';

/** Days of digests on the page of days. */
const DAYS_SHOWN = 30;
const NOBODY: ReadonlySet<string> = new Set();

/** Whether it keeps up, for who reads all; for others, who they are. */
export async function status(site: Site, sums: DaySums, c: Page): Promise<Response> {
  const reader = c.get('reader');
  const leave = site.deps.access.login === null ? '' : logoutForm();
  if (!reader.readsAll) return site.page('You', [], html`${readerPage(reader)} ${leave}`);
  const problems = new ReadProblems();
  const [facts, lags, charts] = await Promise.all([
    site.deps.status(),
    lagsOf(site, c, problems),
    sums.charts(reader, {}),
  ]);
  const content = html`${problems.told(reader, NOBODY)} ${statusPage(facts, lags, charts, site.deps.now())}
  ${leave}`;
  return site.page('Status', [{ name: 'Status', href: null }], content);
}

/** How long the newest jobs took from their end to their record. */
async function lagsOf(site: Site, c: Page, problems: ReadProblems): Promise<Lag[]> {
  const { records } = await findJobs(site, c, {}, problems);
  return records
    .map(({ record }) => ({
      label: `${momentOf(record).slice(0, 16).replace('T', ' ')} UTC`,
      seconds: (Date.parse(record.recorded_at) - Date.parse(record.completed_at ?? '')) / 1_000,
    }))
    .filter(({ seconds }) => seconds >= 0)
    .toReversed();
}

/** Completeness by day, for who reads all. */
export async function days(site: Site, digestDays: DigestDays, sums: DaySums, c: Page): Promise<Response> {
  const reader = c.get('reader');
  if (!reader.readsAll) return site.missing();
  const problems = new ReadProblems();
  const now = site.deps.now();
  const { onProblem } = problems.hooks;
  const { days: found, left } = await digestDays.since(daysBefore(now, DAYS_SHOWN), now.getTime(), onProblem);
  // Behind what was not read nothing is known, also not that there is none.
  const lastDay = left === 'newer' ? found[0]?.day : now.toISOString().slice(0, 10);
  const shown = found.length === 0 || lastDay === undefined ? [] : withEmptyDays(found, lastDay);
  const content = html`${problems.told(reader, NOBODY)}
  ${daysPage(shown, left, now, await sums.charts(reader, {}))}`;
  return site.page('Completeness by day', [{ name: 'Days', href: null }], content);
}

/** What was missing at the end of a day, and why. */
export async function gaps(site: Site, digestDays: DigestDays, c: Page): Promise<Response> {
  const reader = c.get('reader');
  const day = c.req.param('day') ?? '';
  if (!reader.readsAll || !/^\d{4}-\d{2}-\d{2}$/.test(day) || Number.isNaN(Date.parse(day)))
    return site.missing();
  const problems = new ReadProblems();
  const found = await digestDays.gapsOf(day, problems.hooks.onProblem);
  if (found === null) return site.missingOrUnread(c, problems);
  const crumbs = [
    { name: 'Days', href: '/-/days' },
    { name: day, href: null },
  ];
  return site.page(`Gaps of ${day}`, crumbs, html`${problems.told(reader, NOBODY)} ${gapsPage(day, found)}`);
}
