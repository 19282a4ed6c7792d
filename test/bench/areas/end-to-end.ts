import { quantile } from '../arithmetic.ts';
import { deliveryRequest } from './deliveries.ts';
import { atMost, plain, type Area } from '../findings.ts';
import { openLoop } from './load.ts';
import { firstIdOf } from './log-sizes.ts';
import type { Extent } from '../rounds.ts';
import { everlogSettings, hostsFile, openStage, textOf } from '../stage.ts';
import { commitsOf, newIds } from './work.ts';
import { openWorkplace, startEverlog } from './worker.ts';

/** From the moment that a signed delivery is due to the moment at which the store has answered its record. */

const USUAL_RATE = 50;
/** Rates are doubled until the records come too late. */
const HIGHEST_RATE = { full: 3_200, quick: 400 };
const TOO_LATE_MS = 5_000;
const SETTLE_TIMEOUT_MS = 60_000;
const POLL_MS = 50;

export async function endToEnd(extent: Extent): Promise<Area> {
  const stage = openStage();
  try {
    const place = await openWorkplace(stage);
    const serve = await stage.everlog('driving', ['serve'], {
      ...everlogSettings(place.queue),
      EVERLOG_CONFIG: hostsFile(stage.folder(), place.githubOrigin),
    });
    await startEverlog(stage, place, 50, 'measured');
    const port = Number(new URL(textOf(serve, 'webhooks')).port);
    const atRate = (rate: number, seconds: number): Promise<number[]> =>
      lags(port, place.storeOrigin, rate, seconds);

    await atRate(USUAL_RATE, 2);
    const rounds: number[][] = [];
    for (let round = 0; round < extent.rounds; round += 1) {
      rounds.push(await atRate(USUAL_RATE, extent.scaled(4, 2)));
    }
    let highest = USUAL_RATE;
    const highestTried = extent.scaled(HIGHEST_RATE.full, HIGHEST_RATE.quick);
    for (let rate = USUAL_RATE * 2; rate <= highestTried; rate *= 2) {
      if (quantile(await atRate(rate, extent.scaled(3, 2)), 0.99) > TOO_LATE_MS) break;
      highest = rate;
    }
    await place.everlogQueue.close();
    const share = (part: number): number[] => rounds.map((round) => quantile(round, part));
    const what = `POST to committed record at ${USUAL_RATE} jobs/s`;
    return {
      name: 'end-to-end',
      title:
        'End to end: a receiver, a worker, Redis, GitHub and store on this machine’s cores; logs of 10 KB',
      findings: [
        plain(`${what}, p50`, 'ms', share(0.5)),
        plain(`${what}, p95`, 'ms', share(0.95)),
        plain(`${what}, p99`, 'ms', share(0.99), atMost(500)),
        plain('highest rate of those tried with a p99 under 5 s', 'jobs/s', [highest]),
      ],
      notes: ['Rates tried are doubled from 50 jobs/s; each lasts a few seconds.'],
    };
  } finally {
    await stage.close();
  }
}

/** How long each job took, in milliseconds. */
async function lags(port: number, storeOrigin: string, rate: number, seconds: number): Promise<number[]> {
  const count = rate * seconds;
  const first = newIds(firstIdOf(10_000), count);
  const requests = Array.from({ length: count }, (_, index) =>
    deliveryRequest('/webhooks', 'completed', first + index),
  );
  const dueAtMs = new Map<number, number>();
  await commitsOf(storeOrigin);
  await openLoop(port, requests, rate, (index, atMs) => dueAtMs.set(first + index, atMs));
  const found: number[] = [];
  const deadlineMs = Date.now() + SETTLE_TIMEOUT_MS;
  while (found.length < count) {
    if (Date.now() > deadlineMs) throw new Error(`${found.length} of ${count} records came`);
    for (const [job, atMs] of await commitsOf(storeOrigin)) {
      const due = dueAtMs.get(job);
      if (due !== undefined) found.push(atMs - due);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return found;
}
