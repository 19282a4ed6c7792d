import { expect, test } from 'vitest';
import { Redis } from 'ioredis';
import { FairTags, priorityOf } from '../../src/queue/fair-order.ts';
import { openJobQueue } from '../../src/queue/job-queue.ts';
import { openRedisOrder } from '../../src/queue/redis/redis-state.ts';
import { each, scaled } from '../support/harness/everlog-under-test.ts';
import { archiveJob, embeddedPlace } from '../support/harness/queue-under-test.ts';
import { startRedis } from '../support/servers/redis-server.ts';
import { fairOrderContract, type OrderUnderTest } from './fair-order.contract.ts';

const EMBEDDED_TIMEOUT_MS = 60_000;
/** What waits is read at the start. Adding it takes most of the time. */
const WAITING = scaled(3_000, 10_000);

fairOrderContract('on Redis', async (): Promise<OrderUnderTest> => {
  const server = await startRedis();
  const connection = new Redis(server.url);
  const key = (name: string): string => `fair-test:${name}`;
  const order = openRedisOrder(connection, key, (error) => {
    throw error;
  });
  return {
    order,
    // What BullMQ does with a job that has a priority, as far as the order looks.
    async queue(id, urgency, tag) {
      await connection.hset(key(id), 'name', 'any');
      await connection.zadd(key('prioritized'), priorityOf(urgency, tag), id);
    },
    async take(id, urgency, tag) {
      order.started(urgency, tag);
      await connection.zrem(key('prioritized'), id);
    },
    async empty() {
      await connection.del(key('prioritized'));
    },
    async close() {
      // Behind what was noted without waiting.
      await connection.quit();
      await server.stop();
    },
  };
});

fairOrderContract('in memory', (): Promise<OrderUnderTest> => {
  const tags = new FairTags();
  const held = new Set<string>();
  return Promise.resolve({
    order: {
      admit: (id, urgency, flow) => Promise.resolve(held.has(id) ? null : tags.next(urgency, flow)),
      started: (urgency, tag) => tags.started(urgency, tag),
    },
    queue: (id) => Promise.resolve(void held.add(id)),
    take: (_, urgency, tag) => Promise.resolve(tags.started(urgency, tag)),
    empty: () => Promise.resolve(tags.reset()),
    close: () => Promise.resolve(),
  });
});

test(
  'an embedded queue that is opened again lines new jobs up behind those that waited',
  async () => {
    const place = await embeddedPlace();
    try {
      const first = openJobQueue(await place.open());
      for (let index = 0; index < 5; index += 1) await first.add(archiveJob(100 + index));
      await first.add(archiveJob(105, { source: 'backfill' }));
      await first.add(archiveJob(200, { repository_id: null, owner: 'Octo-Org', repo: 'Other' }));
      await first.close();

      const storage = await place.open();
      const raw = storage.createQueue('archive');
      const order = storage.orderOf(raw);
      expect(await order.admit('job-github.com-100', 'live', 'github.com/1296269')).toBeNull();
      expect(await order.admit('new-1', 'live', 'github.com/1296269')).toBe(6);
      expect(await order.admit('new-2', 'live', 'github.com/octo-org/other')).toBe(2);
      expect(await order.admit('new-3', 'live', 'github.com/77')).toBe(1);
      expect(await order.admit('new-4', 'backfill', 'github.com/1296269')).toBe(2);
      expect(await order.admit('new-5', 'sweep', 'github.com/1296269')).toBe(1);
      await raw.close();
      await storage.close();
    } finally {
      await place.remove();
    }
  },
  EMBEDDED_TIMEOUT_MS,
);

test(
  `${WAITING} jobs that waited do not hold up the first delivery after a start`,
  async () => {
    const place = await embeddedPlace();
    try {
      const first = openJobQueue(await place.open());
      const numbers = Array.from({ length: WAITING }, (_, index) => index);
      await each(numbers, 100, (index) =>
        first.add(archiveJob(index + 1, { repository_id: (index % 500) + 1 })),
      );
      await first.close();
      const queue = openJobQueue(await place.open());
      const beganMs = performance.now();
      expect(await queue.add(archiveJob(WAITING + 1))).toBe('queued');
      // The receiver gives the queue this long.
      expect(performance.now() - beganMs).toBeLessThan(2_000);
      await queue.close();
    } finally {
      await place.remove();
    }
  },
  EMBEDDED_TIMEOUT_MS,
);
