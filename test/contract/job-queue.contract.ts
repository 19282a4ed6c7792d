import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { giveUp, retryable, waitUntil } from '../../src/errors.ts';
import { queueIdOf, type ArchiveJob, type NewJob } from '../../src/queue/catalog.ts';
import { openJobQueue, type JobQueue } from '../../src/queue/job-queue.ts';
import { noteVersion } from '../../src/queue/noted/versions.ts';
import type { QueueStorage } from '../../src/queue/queue-storage.ts';
import type { QueuedState } from '../../src/queue/queued-state.ts';
import type { RunningWorkers } from '../../workers/run-workers.ts';
import { until } from '../support/harness/everlog-under-test.ts';
import {
  archiveJob,
  closedGate,
  work,
  type ArchiveHandler,
  type QueuePlace,
} from '../support/harness/queue-under-test.ts';
import { NEWER_VERSION_WAIT_MS_MAX } from '../../workers/newer-version.ts';

/** A place is made and opened within this: an embedded one begins a database. */
const OPEN_TIMEOUT_MS = 60_000;
/** Every change of a job is seen within this on a busy machine. */
const SEEN_WITHIN_MS = 15_000;
const DRAIN_MS = 5_000;

/** What every place that holds queues must do with jobs. */
export function jobQueueContract(name: string, makePlace: () => Promise<QueuePlace>): void {
  describe(`jobs ${name}`, () => {
    let place: QueuePlace;
    let storage: QueueStorage;
    let queue: JobQueue;
    let workers: RunningWorkers;
    /** What becomes of a job when it is worked on; any other is done at once. */
    const fates = new Map<number, ArchiveHandler>();
    let outcomes: string[] = [];
    let lastJobId = 399_444_496;

    beforeAll(async () => {
      place = await makePlace();
      await reopen();
    }, OPEN_TIMEOUT_MS);

    afterAll(async () => {
      await queue.close();
      await place.remove();
    });

    beforeEach(() => {
      outcomes = [];
    });

    afterEach(async () => {
      await workers?.drain(DRAIN_MS);
      fates.clear();
    });

    async function reopen(): Promise<void> {
      await queue?.close();
      storage = await place.open();
      queue = openJobQueue(storage);
      await answers(queue);
    }

    async function answers(asked: JobQueue): Promise<void> {
      const pinged = (): Promise<boolean> =>
        asked.ping().then(
          () => true,
          () => false,
        );
      await until('the queue answers', pinged, SEEN_WITHIN_MS);
    }

    function start(random: () => number = () => 0): void {
      workers = work(
        storage,
        (data, context) => fates.get(data.job_id)?.(data, context) ?? Promise.resolve(),
        {
          random,
          onJob: (_, outcome) => outcomes.push(outcome),
        },
      );
    }

    /** A job that no other test has, and its id. */
    function fresh(fate?: ArchiveHandler, changes: Partial<ArchiveJob> = {}): { job: NewJob; id: string } {
      lastJobId += 1;
      if (fate !== undefined) fates.set(lastJobId, fate);
      const job = archiveJob(lastJobId, changes);
      return { job, id: queueIdOf(job) };
    }

    function reaches(id: string, state: QueuedState['state']): Promise<QueuedState> {
      let last: QueuedState | null = null;
      return until(
        `${id} is ${state}`,
        async () => {
          last = await queue.stateOf(id);
          return last.state === state ? last : null;
        },
        SEEN_WITHIN_MS,
        () => JSON.stringify(last),
      );
    }

    async function failedOf(id: string): Promise<Awaited<ReturnType<JobQueue['failed']>>[number] | null> {
      return (await queue.failed(100)).find((job) => job.id === id) ?? null;
    }

    test('a job is queued once: a second is a duplicate while it waits, runs and is just done', async () => {
      const gate = closedGate();
      const running = closedGate();
      const { job, id } = fresh(async () => {
        running.open();
        await gate.opened;
      });
      expect(await queue.stateOf(id)).toEqual({ state: 'gone', reason: null, nextAt: null });
      expect(await queue.add(job)).toBe('queued');
      expect(await queue.add(job)).toBe('duplicate');
      expect(await queue.stateOf(id)).toEqual({ state: 'waiting', reason: null, nextAt: null });
      start();
      await running.opened;
      expect(await queue.add(job)).toBe('duplicate');
      expect(await queue.stateOf(id)).toEqual({ state: 'running', reason: null, nextAt: null });
      gate.open();
      await reaches(id, 'done');
      expect(await queue.add(job)).toBe('duplicate');
      expect(outcomes).toEqual(['done']);
    });

    test('jobs that wait, are put off or failed are read with their data, at most so many of each', async () => {
      const before = await heldIds(1_000);
      const failing = fresh(() => Promise.reject(giveUp('github_refused', 'no')));
      const late = fresh(() =>
        Promise.reject(waitUntil('log_not_yet', new Date(Date.now() + 3_600_000), 'not yet')),
      );
      await queue.add(failing.job);
      await queue.add(late.job);
      start();
      await reaches(failing.id, 'failed');
      await reaches(late.id, 'put_off');
      await workers?.drain(DRAIN_MS);
      const waiting = [fresh(), fresh()];
      for (const { job } of waiting) await queue.add(job);
      const added = [failing, late, ...waiting];
      const held = await heldIds(1_000);
      expect([...held.keys()].filter((id) => !before.has(id)).toSorted()).toEqual(
        added.map(({ id }) => id).toSorted(),
      );
      for (const { id, job } of added) expect(held.get(id)).toEqual(job.data);
      expect((await heldIds(1)).size).toBeLessThanOrEqual(4);
      start();
      for (const { id } of waiting) await reaches(id, 'done');
      await queue.dropFailed(failing.id, 'tested');
    });

    async function heldIds(limit: number): Promise<Map<string, unknown>> {
      const held = new Map<string, unknown>();
      for await (const { id, data } of queue.heldArchiveJobs(limit)) held.set(id, data);
      return held;
    }

    test('of many adds of one job at once, one is queued', async () => {
      const { job } = fresh();
      const answers = await Promise.all(Array.from({ length: 50 }, () => queue.add(job)));
      expect(answers.filter((answer) => answer === 'queued')).toHaveLength(1);
      start();
      await reaches(queueIdOf(job), 'done');
      expect(outcomes).toEqual(['done']);
    });

    test('a failed job is listed, and an add revives it with its tries begun anew', async () => {
      let tries = 0;
      const { job, id } = fresh(async () => {
        tries += 1;
        if (tries < 3) throw retryable('github_unavailable', 'GitHub answered 502');
        throw giveUp('github_refused', 'GitHub answered 422');
      });
      await queue.add(job);
      start();
      expect(await reaches(id, 'failed')).toEqual({
        state: 'failed',
        reason: 'GitHub answered 422',
        nextAt: null,
      });
      const failed = await failedOf(id);
      expect(failed).toMatchObject({
        name: 'archive-job',
        data: job.data,
        reason: 'GitHub answered 422',
        attempts: 3,
      });
      expect(Date.now() - (failed?.failedAt?.getTime() ?? 0)).toBeLessThan(SEEN_WITHIN_MS);
      expect(outcomes).toEqual(['retried', 'retried', 'failed']);

      expect(await queue.add(job)).toBe('queued');
      await until('it has failed again', async () => tries === 4 && failedOf(id), SEEN_WITHIN_MS);
      expect((await reaches(id, 'failed')).reason).toBe('GitHub answered 422');
      expect((await failedOf(id))?.attempts).toBe(1);

      fates.delete(lastJobId);
      expect(await queue.add(job)).toBe('queued');
      await reaches(id, 'done');
      expect(await failedOf(id)).toBeNull();
    });

    test('failed jobs are listed newest first, tried again, and dropped', async () => {
      const ids: string[] = [];
      start();
      for (let index = 0; index < 3; index += 1) {
        const { job, id } = fresh(() => Promise.reject(giveUp('github_refused', `refused ${index}`)));
        await queue.add(job);
        await reaches(id, 'failed');
        ids.push(id);
      }
      const [first = '', second = '', third = ''] = ids;
      const listed = await queue.failed(100);
      expect(listed.slice(0, 3).map((job) => job.id)).toEqual([third, second, first]);
      expect(await queue.failed(2)).toHaveLength(2);
      expect((await queue.counts()).archive.failed).toBe(listed.length);

      fates.clear();
      expect(await queue.retryFailed(first)).toBe(true);
      await reaches(first, 'done');
      expect(await queue.retryFailed(first)).toBe(false);
      expect(await queue.dropFailed(first, 'not ours')).toBe(false);
      expect(await queue.dropFailed(second, 'not ours')).toBe(true);
      expect(await queue.dropFailed(second, 'not ours')).toBe(false);
      expect(await queue.stateOf(second)).toEqual({ state: 'gone', reason: null, nextAt: null });
      expect(await queue.retryFailed('job-github.com-0')).toBe(false);
      expect(await queue.dropFailed(third, 'not ours')).toBe(true);
    });

    test('several that revive the same failed job at once are all answered', async () => {
      const jobs = Array.from({ length: 10 }, () =>
        fresh(() => Promise.reject(giveUp('github_refused', 'no'))),
      );
      start();
      for (const { job } of jobs) await queue.add(job);
      for (const { id } of jobs) await reaches(id, 'failed');
      await workers.drain(DRAIN_MS);
      const other = openJobQueue(place.kind === 'redis' ? await place.open() : storage);
      await answers(other);
      for (const { job, id } of jobs) {
        const [one, two, retried] = await Promise.all([
          queue.add(job),
          other.add(job),
          queue.retryFailed(id),
        ]);
        expect([one === 'queued', two === 'queued', retried]).toContain(true);
        expect((await queue.stateOf(id)).state).toBe('waiting');
      }
      if (place.kind === 'redis') await other.close();
      fates.clear();
      start();
      for (const { id } of jobs) await reaches(id, 'done');
      expect(outcomes.filter((outcome) => outcome === 'done')).toHaveLength(10);
    });

    test('a wait puts a job off without counting a try, and says why and until when', async () => {
      const nextAt = new Date(Date.now() + 3_600_000);
      const { job, id } = fresh(() =>
        Promise.reject(waitUntil('github_rate_limited', nextAt, 'budget spent')),
      );
      await queue.add(job);
      start();
      expect(await reaches(id, 'put_off')).toEqual({ state: 'put_off', reason: 'budget spent', nextAt });
      expect(await queue.add(job)).toBe('duplicate');
      expect(outcomes).toEqual(['put_off']);
    });

    test('a job that was put off often has not used up a try', async () => {
      let tries = 0;
      const { job, id } = fresh(async (_, context) => {
        tries += 1;
        expect(context.attempts).toBe(tries);
        if (tries <= 5) throw waitUntil('github_rate_limited', new Date(Date.now() - 1_000), 'budget spent');
        throw giveUp('github_refused', 'no');
      });
      await queue.add(job);
      start();
      expect((await reaches(id, 'failed')).reason).toBe('no');
      expect((await failedOf(id))?.attempts).toBe(1);
      expect(outcomes).toEqual([...Array<string>(5).fill('put_off'), 'failed']);
    });

    test('an error without a remedy is tried again after a while', async () => {
      const { job, id } = fresh(() => Promise.reject(new TypeError('of the unexpected kind')));
      await queue.add(job);
      start(() => 0.999);
      const waiting = await reaches(id, 'put_off');
      expect(waiting.reason).toBe('of the unexpected kind');
      fates.clear();
      await reaches(id, 'done');
      expect(outcomes.at(0)).toBe('retried');
    });

    test('a handler keeps what it learns with the job', async () => {
      const { job, id } = fresh(async (data, context) => {
        if (data.spool_bytes === 77) return;
        await context.update({ ...data, spool_bytes: 77 });
        throw retryable('github_unavailable', 'GitHub answered 502');
      });
      await queue.add(job);
      start();
      await reaches(id, 'done');
    });

    test('data that cannot be right fails with the field named', async () => {
      const raw = storage.createQueue('archive');
      const { job } = fresh();
      await raw.add('archive-job', { ...job.data, run_id: 'one' }, { jobId: 'odd-data', attempts: 3 });
      start();
      expect((await reaches('odd-data', 'failed')).reason).toMatch(/^archive-job: run_id: /);
      expect(outcomes).toEqual(['failed']);
      await raw.close();
    });

    test('a kind and a word of a newer version are put off, and left to it', async () => {
      const raw = storage.createQueue('archive');
      const { job } = fresh();
      await raw.add('archive-job', { ...job.data, source: 'mirror' }, { jobId: 'new-word', attempts: 1 });
      await raw.add('archive-everything', {}, { jobId: 'new-kind', attempts: 1 });
      start();
      expect((await reaches('new-word', 'put_off')).reason).toMatch(/^archive-job: source: .*newer version/);
      const { reason, nextAt } = await reaches('new-kind', 'put_off');
      expect(reason).toContain('no job called archive-everything: left to a newer version of Everlog');
      expect(Number(nextAt) - Date.now()).toBeLessThan(6 * 60_000);
      expect(outcomes).toEqual(['put_off', 'put_off']);
      expect((await queue.backlog()).putOff).toMatchObject({ newer_version: 2, other: 0 });
      await raw.close();
    });

    test('what no newer version has taken in a week fails, says whose it is, and can be tried again', async () => {
      const raw = storage.createQueue('archive');
      await noteVersion(queue.notes, '0.9.0', new Date());
      const job = await raw.add('archive-everything', {}, { jobId: 'left-kind', attempts: 1 });
      const since = new Date(Date.now() - NEWER_VERSION_WAIT_MS_MAX - 1_000);
      await job.updateProgress({ newer_version_since: since.toISOString() });
      start();
      const { reason } = await reaches('left-kind', 'failed');
      expect(reason).toContain('no job called archive-everything');
      expect(reason).toContain('it needs version 0.9.0, which has used this queue; this is 0.1.0');
      expect(reason).toContain('everlog failed retry');
      expect(await queue.retryFailed('left-kind')).toBe(true);
      const again = await reaches('left-kind', 'put_off');
      expect(again.reason).toContain('left to a newer version of Everlog (version 0.9.0');
      expect(outcomes).toEqual(['failed', 'put_off']);
      await raw.close();
    });

    test('an IPv6 host, every kind of job and odd texts are taken as they are', async () => {
      const seen: unknown[] = [];
      const keep: ArchiveHandler = (data) => Promise.resolve(void seen.push(data));
      const { job, id } = fresh(keep, {
        host: '2001:db8::1',
        sender: 'ünïcode/№ \u{1F680} \\u0000 "quoted"',
        delivered: 'x'.repeat(100_000),
      });
      const others: NewJob[] = [
        {
          name: 'installation-changed',
          data: {
            host: '2001:db8::1',
            installation_id: 7,
            action: 'deleted',
            received_at: '2026-11-20T10:11:12.000Z',
          },
        },
      ];
      expect(await queue.add(job)).toBe('queued');
      for (const other of others) {
        expect(await queue.add(other)).toBe('queued');
        expect(await queue.add(other)).toBe('duplicate');
      }
      start();
      await reaches(id, 'done');
      expect(seen).toEqual([job.data]);
      const counts = await queue.counts();
      expect(counts.upkeep).toEqual({ waiting: 1, active: 0, delayed: 0, failed: 0 });
    });

    test('what was acknowledged survives the process that took it', async () => {
      const jobs = Array.from({ length: 20 }, () => fresh());
      for (const { job } of jobs) await queue.add(job);
      const { job: late, id: lateId } = fresh();
      await reopen();
      expect(await queue.add(late)).toBe('queued');
      for (const { job, id } of jobs) {
        expect((await queue.stateOf(id)).state).toBe('waiting');
        expect(await queue.add(job)).toBe('duplicate');
      }
      const seen: number[] = [];
      for (const { job } of jobs) {
        if (job.name !== 'archive-job') continue;
        fates.set(job.data.job_id, (data) => {
          expect(data).toEqual(job.data);
          seen.push(data.job_id);
          return Promise.resolve();
        });
      }
      start();
      await reaches(lateId, 'done');
      expect(seen).toEqual(seen.toSorted((one, other) => one - other));
      expect(seen).toHaveLength(20);
    });
  });
}
