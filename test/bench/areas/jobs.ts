import { Queue as BullQueue } from 'bullmq';
import { jobObject, OWNER, REPOSITORY, REPOSITORY_ID, runOf } from './deliveries.ts';
import { openRedisStorage } from '../../../src/queue/redis/redis-storage.ts';
import { openJobQueue, type JobQueue } from '../../../src/queue/job-queue.ts';
import { JsonText } from '../../../src/json-text.ts';
import { packDelivered, type NewJob } from '../../../src/queue/catalog.ts';
import { openLog } from '../../../src/logger.ts';
import type { Queue } from '../stage.ts';

/** Jobs in a queue, as a receiver puts them there. */

const ADDS_AT_ONCE = 100;

/** Everlog's own queue. */
export function everlogQueue(queue: Queue): JobQueue {
  const { hostname, port } = new URL(queue.url);
  const log = openLog('warn', process.stderr);
  const options = { host: hostname, port: Number(port) };
  return openJobQueue(openRedisStorage({ options, location: queue.url, allowUnsafe: false, log }));
}

/** A job as the receiver makes it of a delivery. */
function archiveJobOf(id: number): NewJob {
  return {
    name: 'archive-job',
    data: {
      host: '127.0.0.1',
      owner: OWNER,
      repo: REPOSITORY,
      repository_id: REPOSITORY_ID,
      installation_id: null,
      run_id: runOf(id),
      run_attempt: 1,
      job_id: id,
      sender: 'octocat',
      delivery_ids: [`${id.toString(16).padStart(8, '0')}-1c2d-11ef-8d3b-5a2f6e0c9b11`],
      source: 'webhook',
      received_at: '2026-11-20T10:01:01.000Z',
      delivered: packDelivered({ workflow_job: JsonText.of(jobObject(id)), deployment: null }),
      looks: null,
      spool_bytes: null,
      slot_at: null,
    },
  };
}

/** Adds `count` jobs to Everlog's queue. */
export async function fillEverlog(queue: JobQueue, first: number, count: number): Promise<void> {
  for (let at = 0; at < count; at += ADDS_AT_ONCE) {
    const ids = Array.from({ length: Math.min(ADDS_AT_ONCE, count - at) }, (_, index) => first + at + index);
    await Promise.all(ids.map((id) => queue.add(archiveJobOf(id))));
  }
}

/** Adds the same jobs to a queue of BullMQ's own. */
export async function fillPlain(queue: Queue, name: string, first: number, count: number): Promise<void> {
  const bull = new BullQueue(name, { connection: queue.client });
  const jobs = Array.from({ length: count }, (_, index) => {
    const { data } = archiveJobOf(first + index);
    return { name: 'job', data, opts: { removeOnComplete: true, jobId: `job-${first + index}` } };
  });
  await bull.addBulk(jobs);
}
