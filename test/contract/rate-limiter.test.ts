import { expect, test } from 'vitest';
import { openJobQueue } from '../../src/queue/job-queue.ts';
import { openLocalRateLimiter } from '../../src/queue/rate-limiter.ts';
import { until } from '../support/harness/everlog-under-test.ts';
import { redisStorage } from '../support/harness/queue-under-test.ts';
import { startRedis } from '../support/servers/redis-server.ts';
import { rateLimiterContract } from './rate-limiter.contract.ts';

const REACHED_WITHIN_MS = 15_000;

rateLimiterContract('on Redis', async (now) => {
  const server = await startRedis();
  const [one, other] = [redisStorage(server.url, now), redisStorage(server.url, now)];
  for (const storage of [one, other]) {
    const answers = (): Promise<boolean> =>
      storage.ping().then(
        () => true,
        () => false,
      );
    await until('the server answers', answers, REACHED_WITHIN_MS);
  }
  return {
    one: one.rateLimiter,
    other: other.rateLimiter,
    async close() {
      await Promise.all([one.close(), other.close()]);
      await server.stop();
    },
  };
});

rateLimiterContract('in one process', (now) => {
  const state = openLocalRateLimiter(now);
  return Promise.resolve({ one: state, other: state, close: () => Promise.resolve() });
});

test('a server that has forgotten its scripts is told them again', async () => {
  const server = await startRedis();
  try {
    const queue = openJobQueue(redisStorage(server.url));
    await queue.close();
    const storage = redisStorage(server.url);
    const reserved = (): Promise<boolean> =>
      storage.rateLimiter.reserve('any', 1, { pointMs: 1, burstPoints: 1 }).then(
        () => true,
        () => false,
      );
    await until('a reservation is made', reserved, REACHED_WITHIN_MS);
    await server.restart();
    await until('a reservation is made again', reserved, REACHED_WITHIN_MS);
    expect(await reserved()).toBe(true);
    await storage.close();
  } finally {
    await server.stop();
  }
});
