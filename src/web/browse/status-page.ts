import type { Reader } from '../access/access.ts';
import { html, type Html } from '../html.ts';
import { barChart, countText } from './charts.ts';

/** What the service says of itself; null where it could not be asked. */
export interface StatusFacts {
  readonly archive: string;
  readonly queue: {
    readonly location: string;
    /** By the queue's name. */
    readonly queues: Readonly<
      Record<string, { waiting: number; active: number; delayed: number; failed: number }>
    >;
    /** Put-off jobs by their reason. */
    readonly putOff: Readonly<Record<string, number>>;
    readonly oldestAt: string | null;
    /** The newest jobs whose retries ran out. */
    readonly failedJobs: readonly {
      readonly id: string;
      readonly reason: string;
      readonly at: string | null;
    }[];
  } | null;
  /** What is left of the rate limit of each host's installation that has the least; null where this process does not know it. */
  readonly budgets:
    | readonly {
        readonly name: string;
        readonly remaining: number;
        readonly limit: number;
      }[]
    | null;
  readonly lastDigest: { readonly sequence: number; readonly at: string } | null;
  /** The last `verify --record` that counts, and how it ended. */
  readonly lastVerify: { readonly at: string; readonly verdict: string; readonly isGood: boolean } | null;
  readonly reconciledThrough: string | null;
  /** Commits that no digest holds yet. */
  readonly pendingCommits: number | null;
  /** Why what is null is not known, where there is more to say. */
  readonly problem?: string;
}

/** From the end of a job to its record, oldest first. */
export interface Lag {
  readonly label: string;
  readonly seconds: number;
}

const UNKNOWN = 'not known here';

/** For operators: whether it keeps up. What is not known is said to be so. */
export function statusPage(facts: StatusFacts, lags: readonly Lag[], charts: Html, now: Date): Html {
  const { queue } = facts;
  const lag = barChart(
    'From a job’s end to its record',
    lags.map(({ label, seconds }) => ({ label, value: seconds })),
    secondsText,
  );
  return html`<h1>Status</h1>
    ${facts.problem === undefined ? '' : html`<p class="seal wrong" role="alert">${facts.problem}</p>`}
    ${charts} ${lags.length === 0 ? '' : html`<div class="charts">${lag}</div>`}
    <table class="facts-table">
      <tbody>
        ${[...queueRows(facts, now), ...ledgerStatusRows(facts, now)].map(
          ({ name, value, isBad }) =>
            html`<tr>
              <th scope="row">${name}</th>
              <td class="${isBad === true ? 'bad' : ''}">${value}</td>
            </tr>`,
        )}
      </tbody>
    </table>
    ${queue === null ? '' : queuesTable(queue.queues)}
    ${queue === null || queue.failedJobs.length === 0 ? '' : failedRows(queue.failedJobs)}
    <p class="facts">
      More: <code>everlog status</code>, <code>everlog doctor</code>, and the metrics of the admin address.
    </p>`;
}

interface StatusRow {
  readonly name: string;
  readonly value: string;
  readonly isBad?: boolean;
}

function queueRows({ archive, queue, budgets }: StatusFacts, now: Date): readonly StatusRow[] {
  const putOff = Object.entries(queue?.putOff ?? {})
    .filter(([, jobs]) => jobs > 0)
    .map(([reason, jobs]) => `${countText(jobs)} ${reason.replaceAll('_', ' ')}`);
  const left = budgets?.map(
    ({ name, remaining, limit }) => `${name}: ${countText(remaining)} of ${countText(limit)}`,
  );
  return [
    { name: 'Archive', value: archive },
    { name: 'Queue', value: queue?.location ?? UNKNOWN },
    { name: 'Put off', value: queue === null ? UNKNOWN : putOff.join(', ') || 'nothing' },
    {
      name: 'Oldest job that waits',
      value: queue === null ? UNKNOWN : agoOf(queue.oldestAt, now, 'none'),
    },
    { name: 'Rate limit left', value: left === undefined ? UNKNOWN : left.join(', ') || 'nothing asked yet' },
  ];
}

function ledgerStatusRows(facts: StatusFacts, now: Date): readonly StatusRow[] {
  const { queue, lastDigest, lastVerify, pendingCommits, reconciledThrough } = facts;
  const orUnknown = (value: string): string => (queue === null ? UNKNOWN : value);
  return [
    {
      name: 'Last digest',
      value:
        lastDigest === null
          ? orUnknown('none noted')
          : `${lastDigest.sequence}, ${agoOf(lastDigest.at, now, '')}`,
    },
    {
      name: 'Last verify that was recorded',
      value:
        lastVerify === null
          ? orUnknown('none noted (everlog verify --record)')
          : `${lastVerify.verdict}, ${agoOf(lastVerify.at, now, '')}`,
      isBad: lastVerify?.isGood === false,
    },
    {
      name: 'Not sealed yet',
      value: pendingCommits === null ? UNKNOWN : `${countText(pendingCommits)} objects`,
    },
    {
      name: 'Compared with GitHub through',
      value: reconciledThrough === null ? orUnknown('never yet') : agoOf(reconciledThrough, now, ''),
    },
  ];
}

/** For readers who may not read everything: who they are, and how they leave. */
export function readerPage(reader: Reader): Html {
  return html`<h1>You</h1>
    <p>Known as ${reader.name}. How the archive stands is for those who may read all of it.</p>`;
}

/** Leaves the page; for readers who have logged in. */
export function logoutForm(): Html {
  return html`<form class="logout" action="/-/logout" method="post"><button>Log out</button></form>`;
}

function queuesTable(
  queues: Readonly<Record<string, { waiting: number; active: number; delayed: number; failed: number }>>,
): Html {
  return html`<h2>Queues</h2>
    <table class="queues">
      <thead>
        <tr>
          <th scope="col">Queue</th>
          <th scope="col" class="num">Waiting</th>
          <th scope="col" class="num">At work</th>
          <th scope="col" class="num">Put off</th>
          <th scope="col" class="num">Failed</th>
        </tr>
      </thead>
      <tbody>
        ${Object.entries(queues).map(
          ([name, { waiting, active, delayed, failed }]) =>
            html`<tr>
              <th scope="row">${name}</th>
              <td class="num" data-label="waiting">${countText(waiting)}</td>
              <td class="num" data-label="at work">${countText(active)}</td>
              <td class="num" data-label="put off">${countText(delayed)}</td>
              <td class="num ${failed > 0 ? 'bad' : ''}" data-label="failed">${countText(failed)}</td>
            </tr>`,
        )}
      </tbody>
    </table>`;
}

function failedRows(
  jobs: readonly { readonly id: string; readonly reason: string; readonly at: string | null }[],
): Html {
  return html`<h2>Newest failed jobs</h2>
    <p class="facts">
      Their retries ran out: <code>everlog failed ls</code>, <code>retry</code> or <code>drop</code>.
    </p>
    <table class="failed">
      <thead>
        <tr>
          <th scope="col">Job</th>
          <th scope="col">Why</th>
          <th scope="col">When (UTC)</th>
        </tr>
      </thead>
      <tbody>
        ${jobs.map(
          ({ id, reason, at }) =>
            html`<tr>
              <td><code>${id}</code></td>
              <td>${reason}</td>
              <td>${at?.slice(0, 16).replace('T', ' ') ?? '–'}</td>
            </tr>`,
        )}
      </tbody>
    </table>`;
}

function agoOf(at: string | null, now: Date, none: string): string {
  if (at === null) return none;
  const seconds = Math.max(0, (now.getTime() - Date.parse(at)) / 1_000);
  return `${at.slice(0, 16).replace('T', ' ')} UTC, ${secondsText(seconds)} ago`;
}

function secondsText(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 2 * 3_600) return `${Math.round(seconds / 60)} min`;
  return seconds < 48 * 3_600 ? `${Math.round(seconds / 3_600)} h` : `${Math.round(seconds / 86_400)} days`;
}
