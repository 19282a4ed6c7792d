import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { giveUp } from '../../src/errors.ts';
import type { GapLine } from '../../src/ledger/formats/formats.ts';
import { openAccounting } from '../../src/reconcile/accounting.ts';
import { closeGap } from '../../src/queue/gap-note.ts';
import { openJobQueue, type JobQueue } from '../../src/queue/job-queue.ts';
import type { QueueStorage } from '../../src/queue/queue-storage.ts';
import {
  noteGaps,
  noteMissing,
  notePlaceGap,
  noteReconciled,
  type ReconciledPlace,
} from '../../src/reconcile/reconcile-note.ts';
import { until } from '../support/harness/everlog-under-test.ts';
import { archiveJob, work, type QueuePlace } from '../support/harness/queue-under-test.ts';

const SEEN_WITHIN_MS = 15_000;
const DRAIN_MS = 5_000;
/** More than one page of failed jobs. */
const FAILED = 620;

/** What every queue must tell of what the archive does not hold. */
export function accountingContract(name: string, makePlace: () => Promise<QueuePlace>): void {
  describe(`accounting: ${name}`, () => {
    let place: QueuePlace;
    let storage: QueueStorage;
    let queue: JobQueue;

    beforeAll(async () => {
      place = await makePlace();
      storage = await place.open();
      queue = openJobQueue(storage);
      const answers = (): Promise<boolean> =>
        queue.ping().then(
          () => true,
          () => false,
        );
      await until('the queue answers', answers, SEEN_WITHIN_MS);
    });

    afterAll(async () => {
      await queue.close();
      await place.remove();
    });

    async function gaps(): Promise<GapLine[]> {
      const found: GapLine[] = [];
      const { gaps: lines } = await openAccounting(queue, () => new Date()).read();
      for await (const line of lines) found.push(line);
      return found;
    }

    test('nothing is known of an empty queue, and nothing is missing from it', async () => {
      const { gaps: lines, ...counts } = await openAccounting(queue, () => new Date()).read();
      expect(counts).toEqual({ reconciledThrough: null, pending: 0, failed: 0 });
      expect(lines).toBeDefined();
      expect(await gaps()).toEqual([]);
    });

    test('failed jobs are told one by one, page after page, and dropped ones until they are recorded', async () => {
      const ids = Array.from({ length: FAILED }, (_, index) => 1_000 + index);
      for (const id of ids) await queue.add(archiveJob(id));
      const workers = work(storage, () => Promise.reject(giveUp('github_refused', 'GitHub\nanswered 422')), {
        concurrency: 50,
      });
      const allFailed = async (): Promise<boolean> => (await queue.counts()).archive.failed === FAILED;
      await until('all have failed', allFailed, SEEN_WITHIN_MS);
      await workers.drain(DRAIN_MS);
      await queue.add(archiveJob(1));

      const { pending, failed } = await openAccounting(queue, () => new Date()).read();
      expect({ pending, failed }).toEqual({ pending: 1, failed: FAILED });
      const told = await gaps();
      expect(told).toHaveLength(FAILED);
      expect(new Set(told.map(({ job_id }) => job_id))).toEqual(new Set(ids));
      expect(told[0]).toEqual({
        host: 'github.com',
        owner: 'octo-org',
        repo: 'octo-repo',
        repository_id: 1_296_269,
        run_id: 29_679_449,
        run_attempt: 1,
        job_id: expect.any(Number),
        jobs: 1,
        reason: 'failed: GitHub answered 422',
        since: expect.stringMatching(/^\d{4}-\d{2}-\d{2}T/),
      });

      const [dropped, recorded] = ['job-github.com-1000', 'job-github.com-1001'] as const;
      expect(await queue.dropFailed(dropped, 'left\nthe company')).toBe(true);
      expect(await queue.dropFailed(recorded, 'later found')).toBe(true);
      await closeGap(queue.notes, recorded);
      const after = await gaps();
      expect(after).toHaveLength(FAILED - 1);
      expect(after.filter(({ reason }) => reason.startsWith('dropped'))).toMatchObject([
        { job_id: 1_000, jobs: 1, reason: 'dropped: left the company' },
      ]);
    });

    test('what reconcile found is named, counted beyond that, and told once where it failed too', async () => {
      const now = new Date();
      const where: ReconciledPlace = {
        host: 'github.com',
        owner: 'octo-org',
        repo: 'octo-repo',
        repository_id: 7,
      };
      await noteReconciled(queue.notes, 'github.com', now);
      for (const id of [5_000, 1_002]) {
        const job = archiveJob(id);
        if (job.name === 'archive-job') await noteMissing(queue.notes, job.data, '2026-11-20T10:00:00Z');
      }
      await noteGaps(queue.notes, where, { jobs: 12, named: 2 }, now);
      await notePlaceGap(queue.notes, { host: 'github.com', owner: 'gone', repo: null }, 'suspended', now);
      const old = new Date(now.getTime() - 4 * 24 * 3_600_000);
      await notePlaceGap(queue.notes, { host: 'github.com', owner: 'older', repo: null }, 'suspended', old);

      const told = await gaps();
      expect(told.filter(({ job_id }) => job_id === 1_002)).toHaveLength(1);
      expect(told.find(({ job_id }) => job_id === 5_000)).toMatchObject({
        jobs: 1,
        since: '2026-11-20T10:00:00Z',
      });
      const unnamed = told.filter(({ job_id }) => job_id === null);
      expect(
        unnamed.map(({ owner, repo, repository_id, jobs }) => [owner, repo, repository_id, jobs]),
      ).toEqual([
        ['gone', null, null, 0],
        ['octo-org', 'octo-repo', 7, 10],
      ]);
      expect((await openAccounting(queue, () => now).read()).reconciledThrough).toEqual(now);
    });
  });
}
