import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { retryable, waitUntil, type ErrorCode } from '../../src/errors.ts';
import { putOffReason, type PutOffReason } from '../../src/queue/backlog.ts';
import { openJobQueue, type JobQueue } from '../../src/queue/job-queue.ts';
import type { QueueStorage } from '../../src/queue/queue-storage.ts';
import type { ArchiveJob } from '../../src/queue/catalog.ts';
import { until } from '../support/harness/everlog-under-test.ts';
import {
  archiveJob,
  embeddedPlace,
  redisPlace,
  work,
  type QueuePlace,
} from '../support/harness/queue-under-test.ts';

const HOUR_MS = 3_600_000;
const WITHIN_MS = 30_000;

const WAITS: readonly (readonly [ErrorCode, PutOffReason])[] = [
  ['log_not_yet', 'log_not_yet'],
  ['github_rate_limited', 'rate_limited'],
  ['installation_suspended', 'suspended'],
  ['host_looks_broken', 'host_broken'],
  ['spool_full', 'spool_full'],
  ['job_not_finished', 'not_finished'],
  ['store_unavailable', 'other'],
];
/** Its first try fails, and the second is not due yet. */
const TRIED = WAITS.length + 1;
const DONE = WAITS.length + 2;

function backlogContract(name: string, place: () => Promise<QueuePlace>): void {
  describe(`backlog statistics: ${name}`, () => {
    let where: QueuePlace;
    let storage: QueueStorage;
    let queue: JobQueue;

    beforeAll(async () => {
      where = await place();
      storage = await where.open();
      queue = openJobQueue(storage);
      const answers = (): Promise<boolean> =>
        queue.ping().then(
          () => true,
          () => false,
        );
      await until('the queue answers', answers, WITHIN_MS);
    });

    afterAll(async () => {
      await queue.close();
      await where.remove();
    });

    test('of nothing', async () => {
      const { oldestAt, putOff } = await queue.backlog();
      expect(oldestAt).toBeNull();
      expect(new Set(Object.values(putOff))).toEqual(new Set([0]));
    });

    test('knows why each job waits, and since when the oldest', async () => {
      const fromMs = Date.now();
      for (let id = 1; id <= DONE; id += 1) await queue.add(archiveJob(id));
      const toMs = Date.now();
      const handler = async ({ job_id }: ArchiveJob): Promise<void> => {
        const [code] = WAITS[job_id - 1] ?? [];
        if (code !== undefined) throw waitUntil(code, new Date(Date.now() + HOUR_MS), 'not now');
        if (job_id === TRIED) throw retryable('github_unexpected', 'once more');
        await Promise.resolve();
      };
      const workers = work(storage, handler, { random: () => 0.999_999 });
      await until(
        'each has had its try, and one waits for the next',
        async () => {
          const { putOff } = await queue.backlog();
          const { archive } = await queue.counts();
          return archive.waiting + archive.active === 0 && putOff.retry === 1;
        },
        WITHIN_MS,
      );
      await workers.drain(5_000);
      const { oldestAt, putOff } = await queue.backlog();
      for (const [, reason] of WAITS) expect({ reason, jobs: putOff[reason] }).toEqual({ reason, jobs: 1 });
      expect(putOff).toMatchObject({ retry: 1, not_looked_at: 0 });
      const { archive } = await queue.counts();
      expect(Object.values(putOff).reduce((sum, count) => sum + count, 0)).toBe(archive.delayed);
      expect(oldestAt?.getTime()).toBeGreaterThanOrEqual(fromMs);
      expect(oldestAt?.getTime()).toBeLessThanOrEqual(toMs);
    });
  });
}

backlogContract('on Redis', redisPlace);
backlogContract('embedded', embeddedPlace);

test('a note that a job bears from an earlier wait says nothing of the present one', () => {
  const until = '2026-11-20T10:00:00.000Z';
  const dueMs = Date.parse(until);
  const note = { put_off_until: until, reason: 'any', code: 'log_not_yet' };
  expect(putOffReason(note, dueMs)).toBe('log_not_yet');
  expect(putOffReason(note, dueMs + 60_000)).toBe('retry');
  expect(putOffReason({ ...note, code: 'unheard_of' }, dueMs)).toBe('other');
  expect(putOffReason(0, dueMs)).toBe('retry');
});
