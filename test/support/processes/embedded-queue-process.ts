/**
 * A process that owns an embedded queue, for tests that kill it: `embedded-queue-process.ts FOLDER [ADDS] [ACTIVE]`.
 * It prints one JSON line when it is ready: the queue is open, ADDS jobs are acknowledged and ACTIVE of them run.
 */
import { createPostgresBackend, withBackend } from 'bullmq';
import { openLog } from '../../../src/logger.ts';
import {
  openEmbeddedPostgres,
  type EmbeddedPostgres,
} from '../../../src/queue/embedded/embedded-postgres.ts';

const { Queue, Worker } = withBackend(createPostgresBackend);

function print(line: Record<string, unknown>): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

async function runJobs(embedded: EmbeddedPostgres, adds: number, active: number): Promise<void> {
  const connection = embedded.pool;
  const queue = new Queue('held', { connection });
  for (let index = 0; index < adds; index += 1) {
    await queue.add('job', { index }, { jobId: `job-${index}` });
  }
  if (active === 0) return;
  let running = 0;
  await new Promise<void>((allRun) => {
    const never = async (): Promise<void> => {
      running += 1;
      if (running === active) allRun();
      await new Promise(() => undefined);
    };
    const worker = new Worker('held', never, {
      connection,
      concurrency: active,
    });
    worker.on('error', (error) => print({ error: error.message }));
  });
}

const [folder = '', adds = '0', active = '0'] = process.argv.slice(2);
const embedded = await openEmbeddedPostgres({ folder, log: openLog('info', process.stderr) });
await runJobs(embedded, Number(adds), Number(active));
print({ ready: true });
// Only a signal ends it.
setInterval(() => undefined, 60_000);
