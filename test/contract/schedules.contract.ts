import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openJobQueue, type JobQueue } from '../../src/queue/job-queue.ts';
import type { QueueStorage } from '../../src/queue/queue-storage.ts';
import type { Schedule } from '../../src/queue/schedules.ts';
import { redeliverAlone, type RedeliveryDeps } from '../../src/redelivery/redelivery.ts';
import type { RunningWorkers } from '../../workers/run-workers.ts';
import { until } from '../support/harness/everlog-under-test.ts';
import { closedGate, work, type QueuePlace } from '../support/harness/queue-under-test.ts';

const EVERY_MS = 500;
const RUNS = 6;
const WITHIN_MS = 30_000;
const DRAIN_MS = 5_000;

function redelivery(everyMs: number, host = 'github.com', firstAfterMs = 100): Schedule {
  return { job: { name: 'redeliver', data: { host } }, everyMs, firstAfterMs };
}

/** What runs by the clock, as two workers see it. */
export function schedulesContract(name: string, place: () => Promise<QueuePlace>): void {
  describe(`schedules: ${name}`, () => {
    let where: QueuePlace;
    let storages: QueueStorage[];
    let queues: JobQueue[];
    let workers: RunningWorkers[];
    let runs: { host: string; atMs: number }[];

    beforeEach(async () => {
      where = await place();
      storages = [await where.open()];
      // An embedded queue has one process; its two workers share it.
      if (where.kind === 'redis') storages.push(await where.open());
      queues = storages.map((storage) => openJobQueue(storage));
      for (const queue of queues) {
        const answers = (): Promise<boolean> =>
          queue.ping().then(
            () => true,
            () => false,
          );
        await until('the queue answers', answers, WITHIN_MS);
      }
      workers = [];
      runs = [];
    });

    afterEach(async () => {
      await Promise.all(workers.map((worker) => worker.drain(DRAIN_MS)));
      await Promise.all(queues.map((queue) => queue.close()));
      await where.remove();
    });

    function startTwo(handler: (host: string, id: string) => Promise<void> = () => Promise.resolve()): void {
      const [first] = storages;
      if (first === undefined) throw new Error('no storage is open');
      for (const storage of [first, storages[1] ?? first]) {
        const redeliver = async ({ host }: { host: string }, { id }: { id: string }): Promise<void> => {
          runs.push({ host, atMs: Date.now() });
          await handler(host, id);
        };
        workers.push(work(storage, () => Promise.resolve(), { queues: ['upkeep'], handlers: { redeliver } }));
      }
    }

    /** Both processes look after the schedules, at once and again. */
    async function scheduleAll(wanted: readonly Schedule[]): Promise<void> {
      for (let round = 0; round < 2; round += 1) {
        await Promise.all([...queues, ...queues].map((queue) => queue.schedule('upkeep', wanted)));
      }
    }

    test('run once per interval for both workers together, the first soon', async () => {
      startTwo();
      const begunMs = Date.now();
      await scheduleAll([redelivery(EVERY_MS)]);
      await until('it ran some times', () => runs.length >= RUNS, WITHIN_MS);
      const tookMs = (runs[RUNS - 1]?.atMs ?? 0) - begunMs;
      expect(tookMs).toBeGreaterThanOrEqual((RUNS - 2) * EVERY_MS);
      const moments = runs.map(({ atMs }) => atMs);
      const together = moments.filter((atMs, index) => atMs - (moments[index - 1] ?? 0) < EVERY_MS / 10);
      expect(together).toEqual([]);
    });

    test('one that changed is changed, one that is no longer wanted ends, and the others stay', async () => {
      startTwo();
      await scheduleAll([
        redelivery(3_600_000, 'slow'),
        redelivery(EVERY_MS, 'stays'),
        redelivery(EVERY_MS, 'ends'),
      ]);
      const count = (host: string): number => runs.filter((run) => run.host === host).length;
      await until('each ran', () => ['slow', 'stays', 'ends'].every((host) => count(host) > 0), WITHIN_MS);
      await scheduleAll([redelivery(EVERY_MS, 'slow'), redelivery(EVERY_MS, 'stays')]);
      const ended = count('ends');
      const [slow, stays] = [count('slow'), count('stays')];
      await until(
        'the others ran on',
        () => count('slow') >= slow + 3 && count('stays') >= stays + 3,
        WITHIN_MS,
      );
      expect(count('ends')).toBeLessThanOrEqual(ended + 1);
      await scheduleAll([]);
      expect((await queues[0]?.counts())?.upkeep.delayed).toBe(0);
    });

    test('a run that takes longer than its interval piles nothing up: others step back, then it goes on', async () => {
      const gate = closedGate();
      let running = 0;
      let most = 0;
      let passes = 0;
      let refused = 0;
      startTwo(async (_host, id) => {
        const [storage] = storages;
        if (storage === undefined) throw new Error('no storage is open');
        const report = await redeliverAlone(slowly(storage), id, true);
        if (report === null) refused += 1;
        else passes += 1;
      });
      function slowly(storage: QueueStorage): RedeliveryDeps {
        return {
          notes: storage.notes,
          rateLimiter: storage.rateLimiter,
          now: () => new Date(),
          random: Math.random,
          log: {
            debug: () => undefined,
            info: () => undefined,
            warn: () => undefined,
            error: () => undefined,
            child: () => {
              throw new Error('no child is made');
            },
          },
          deliveries: {
            host: {
              name: 'github.com',
              host: 'github.com',
              product: 'ghes',
              apiUrl: '',
              logHosts: [],
              privateCidrs: [],
              maxConcurrency: 1,
            },
            redeliver: () => Promise.resolve('asked'),
            async page() {
              running += 1;
              most = Math.max(most, running);
              await gate.opened;
              running -= 1;
              return { deliveries: [], cursor: null };
            },
          },
        };
      }
      await scheduleAll([redelivery(EVERY_MS)]);
      await until('others stepped back', () => refused >= 3, WITHIN_MS);
      expect({ most, passes }).toEqual({ most: 1, passes: 0 });
      const counts = await queues[0]?.counts();
      expect((counts?.upkeep.waiting ?? 0) + (counts?.upkeep.delayed ?? 0)).toBeLessThanOrEqual(2);
      gate.open();
      await until('it goes on', () => passes >= 2, WITHIN_MS);
      expect(most).toBe(1);
    });
  });
}
