import { EventEmitter, once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { seededRandom } from '../../src/simulator/random.ts';
import {
  deliverUntilAccepted,
  expectArchivedOnce,
  openCrashSite,
  peakMib,
  secondsSince,
  tellFigures,
} from '../support/harness/crash-site.ts';
import { each, openStage, queueAtRest, scaled } from '../support/harness/everlog-under-test.ts';
import { addSampleJobs, sampleLog, SAMPLE_SIZES } from '../support/github/sample-jobs.ts';

/** Receiver, workers and queue server killed while deliveries keep coming (reliability P1, P5 and P6). */
const JOBS = scaled(150, 5_000);
const KILLS = scaled(8, 200);
const SEED = 20_261_120;
/** Deliveries under way at once. */
const DELIVERIES_AT_ONCE = 8;
/** Each pauses about so long between two, so that deliveries are under way at every kill. */
const PAUSE_MS = 400;
/** A kill comes at a random moment up to this after the deliveries before it were let go. */
const KILL_WITHIN_MS = 1_200;
/** Jobs that a killed worker held are taken up again within 30 s. */
const DONE_TIMEOUT_MS = scaled(120_000, 1_800_000);

const stage = openStage();

afterAll(() => stage.close());

test(
  `${KILLS} kills of receiver, workers and queue server under ${JOBS} deliveries lose and double nothing`,
  async () => {
    const startedMs = performance.now();
    const site = await openCrashSite(stage, { redis: { appendfsync: 'always' } });
    const { simulator, redis } = site;
    let [serve, first, second] = await Promise.all([site.serve(), site.work(), site.work()]);
    const victims = {
      receiver: async () => {
        await serve.process.kill('SIGKILL');
        serve = await site.serve();
      },
      'first worker': async () => {
        await first.process.kill('SIGKILL');
        first = await site.work();
      },
      'second worker': async () => {
        await second.process.kill('SIGKILL');
        second = await site.work();
      },
      'queue server': () => redis.restart(),
    };
    const jobs = addSampleJobs(simulator, JOBS, (index) =>
      sampleLog(SAMPLE_SIZES[index % SAMPLE_SIZES.length] ?? 0, index),
    );
    const random = seededRandom(SEED);
    const kills = new Map<string, number>();
    const letGo = new EventEmitter().setMaxListeners(DELIVERIES_AT_ONCE);
    let allowed = 0;
    // In turns of random order, so that a short run has all of them too.
    const next: [string, () => Promise<void>][] = [];
    const killAll = async (): Promise<void> => {
      for (let kill = 0; kill < KILLS; kill += 1) {
        allowed = ((kill + 1) * JOBS) / KILLS;
        letGo.emit('more');
        await delay(random() * KILL_WITHIN_MS);
        if (next.length === 0) next.push(...Object.entries(victims));
        const [chosen] = next.splice(Math.floor(random() * next.length), 1);
        if (chosen === undefined) throw new Error('random() answers numbers in [0, 1)');
        kills.set(chosen[0], (kills.get(chosen[0]) ?? 0) + 1);
        await chosen[1]();
      }
    };
    const deliverAll = each([...jobs.entries()], DELIVERIES_AT_ONCE, async ([index, id]) => {
      await delay(Math.random() * PAUSE_MS);
      if (index >= allowed) await once(letGo, 'more');
      return deliverUntilAccepted(() => simulator.deliveries.completeJob(id));
    });
    const [refused] = await Promise.all([deliverAll, killAll()]);
    expect((await queueAtRest(serve, DONE_TIMEOUT_MS)).failed).toBe(0);

    // A delivery that was refused may also be the one that Everlog asked for again.
    await expectArchivedOnce(site, jobs, ['webhook', 'redelivery']);
    const victimsTold = [...kills].map(([victim, times]) => `${victim} ${times}`).join(', ');
    tellFigures('random kills', {
      [`kills (${victimsTold})`]: KILLS,
      jobs: JOBS,
      'deliveries refused at first': refused.filter((times) => times > 0).length,
      s: secondsSince(startedMs),
      'MiB resident at most in a worker': Math.max(peakMib(first), peakMib(second)),
      'log fetches': simulator.requests.count('blob'),
    });
  },
  DONE_TIMEOUT_MS + scaled(120_000, 1_800_000),
);
