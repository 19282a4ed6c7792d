/**
 * A worker process for tests that kill it: `worker-process.ts QUEUE_URL`. It prints one JSON line when it begins a job,
 * which it never ends.
 */
import { redisStorage, work } from '../harness/queue-under-test.ts';

const [url = ''] = process.argv.slice(2);
work(redisStorage(url), async (data) => {
  process.stdout.write(`${JSON.stringify({ running: data.job_id })}\n`);
  await new Promise(() => undefined);
});
