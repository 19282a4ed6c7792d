import { EverlogError } from '../../errors.ts';
import type { RecordFilters } from '../../archive/find/record-filters.ts';
import type { Html } from '../html.ts';
import { html } from '../html.ts';
import type { Reader } from '../access/access.ts';
import type { Site } from '../site.ts';
import { Turns } from '../turns.ts';
import { barChart, bytesText, countText } from './charts.ts';

/** What jobs of one UTC day add up to. */
interface DaySum {
  jobs: number;
  failed: number;
  bytes: number;
}

interface Sums {
  readonly days: ReadonlyMap<string, DaySum>;
  /** What was recorded until then is in the sums; null where nothing was ever sealed. */
  readonly completeUntil: Date | null;
  /** Records that could not be read, and are in no sum. */
  readonly unread: number;
}

const DAY_MS = 24 * 60 * 60_000;
/** Days of a chart, the last one still running. */
const DAYS = 14;
/** How long sums are taken to be the same; days that are past do not change much. */
const KEPT_MS = 60_000;
const KEPT_MAX = 200;

/** Sums of days through the index, kept for a minute: nobody waits twice for the same chart. */
export class DaySums {
  readonly #site: Site;
  readonly #turns = new Turns({ atOnce: 2, waiting: 64, ofOneReader: 16 });
  readonly #kept = new Map<string, { readonly untilMs: number; readonly sums: Promise<Sums | null> }>();

  constructor(site: Site) {
    this.#site = site;
  }

  /** Charts of jobs, failures and bytes of the last two weeks; nothing where there is no index. */
  async charts(reader: Reader, filters: Pick<RecordFilters, 'host' | 'repo'>): Promise<Html> {
    const now = this.#site.deps.now().getTime();
    const name = JSON.stringify(filters);
    let kept = this.#kept.get(name);
    if (kept === undefined || kept.untilMs < now) {
      if (this.#kept.size >= KEPT_MAX) this.#kept.clear();
      kept = { untilMs: now + KEPT_MS, sums: this.#turns.take(reader, () => this.#sum(filters, now)) };
      this.#kept.set(name, kept);
      kept.sums.catch(() => this.#kept.delete(name));
    }
    try {
      const sums = await kept.sums;
      return sums === null ? html`` : chartsOf(sums);
    } catch (error) {
      // What the page is for does not depend on its charts.
      if (!(error instanceof EverlogError)) throw error;
      return html`<p class="facts">No charts: ${error.message}.</p>`;
    }
  }

  async #sum(filters: RecordFilters, nowMs: number): Promise<Sums | null> {
    let unread = 0;
    const open = await this.#site.deps.openIndex(() => (unread += 1));
    if (open === null) return null;
    try {
      const days = Array.from({ length: DAYS }, (_, back) =>
        new Date(nowMs - (DAYS - 1 - back) * DAY_MS).toISOString().slice(0, 10),
      );
      const sums = new Map(days.map((day) => [day, { jobs: 0, failed: 0, bytes: 0 }]));
      const since = new Date(`${days[0] ?? ''}T00:00:00Z`);
      for await (const { dt, jobs, failed, logBytes } of open.index.stats({ ...filters, since })) {
        const sum = sums.get(dt);
        if (sum === undefined) continue;
        sum.jobs += jobs;
        sum.failed += failed;
        sum.bytes += logBytes;
      }
      return { days: sums, completeUntil: open.index.coverage.completeUntil, unread };
    } finally {
      await open.close();
    }
  }
}

function chartsOf({ days, completeUntil, unread }: Sums): Html {
  const until = completeUntil?.toISOString().slice(0, 16).replace('T', ' ');
  const bars = (of: (sum: DaySum) => number): { label: string; value: number }[] =>
    [...days].map(([label, sum]) => ({ label, value: of(sum) }));
  return html`<div class="charts">
    ${barChart(
      'Jobs a day',
      bars(({ jobs }) => jobs),
      countText,
    )}
    ${barChart(
      'Failed',
      bars(({ failed }) => failed),
      countText,
      'bad',
    )}
    ${barChart(
      'Log bytes',
      bars(({ bytes }) => bytes),
      bytesText,
    )}
    <p class="facts">
      Through the index:
      ${until === undefined ? 'nothing is indexed as complete yet' : `complete until ${until} UTC`}.
    </p>
    ${unread === 0 ? '' : html`<p class="bad">${unread} records could not be read and are in no chart.</p>`}
  </div>`;
}
