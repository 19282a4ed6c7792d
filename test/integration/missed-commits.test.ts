import { afterAll, beforeAll, expect, test } from 'vitest';
import { openFolderStore } from '../../src/store/folder/folder-object-store.ts';
import type { ObjectStore, PutOptions } from '../../src/store/object-store.ts';
import { bytesBody } from '../../src/store/put-body.ts';
import { retryable } from '../../src/errors.ts';
import { openJobQueue, type JobQueue } from '../../src/queue/job-queue.ts';
import { withSealingOutbox } from '../../src/service/sealing/sealing-outbox.ts';
import { addMissedCommits } from '../../src/service/sealing/missed-commits.ts';
import { openStage, until } from '../support/harness/everlog-under-test.ts';
import { redisPlace, type QueuePlace } from '../support/harness/queue-under-test.ts';

/** What is committed reaches the sealer, also where whoever wrote it died or had no queue. */

const REACHED_WITHIN_MS = 15_000;
const HOUR_MS = 3_600_000;
const JSON_OBJECT: PutOptions = { contentType: 'application/json', kind: 'record' };
const PLACE = 'host=github.com/owner=octo-org/repo=octo-repo';
const RECORD = `v1/records/${PLACE}/29679449/1/399444496.json`;
const RUN = `v1/runs/${PLACE}/29679449/1.json`;

const stage = openStage();
let place: QueuePlace;
let queue: JobQueue;
let store: ObjectStore;

beforeAll(async () => {
  store = await openFolderStore({ folder: stage.folder() });
  place = await redisPlace();
  queue = openJobQueue(await place.open());
  const answers = (): Promise<boolean> =>
    queue.ping().then(
      () => true,
      () => false,
    );
  await until('the queue answers', answers, REACHED_WITHIN_MS);
});

afterAll(async () => {
  await queue.close();
  await place.remove();
  await store.close();
  await stage.close();
});

const body = (text: string): ReturnType<typeof bytesBody> => bytesBody(Buffer.from(text));
const pending = (): Promise<readonly string[]> => queue.pending.page(null, 100);
const announced = (): Promise<readonly string[]> =>
  queue.pending.announcedBefore(new Date(Date.now() + HOUR_MS), 100);

async function clean(): Promise<void> {
  await queue.pending.remove([...(await pending()), ...(await announced())]);
}

const OPEN = { refuseIfClosed: () => Promise.resolve() };

test('records, runs and custody objects become pending, logs and names do not, and what exists already does so again', async () => {
  const outbox = withSealingOutbox(store, queue.pending, OPEN);
  const custody = 'v1/custody/dt=2020-01-20/20200120T101112000Z-00ff.json';
  const others = [
    `v1/logs/${PLACE}/dt=2026-11-20/29679449-1-399444496.log.gz`,
    `v1/names/${PLACE}/1296269.json`,
    'index/jobs/dt=2026-11-20/1.parquet',
  ];
  for (const key of [RECORD, RUN, custody, ...others]) await outbox.putIfAbsent(key, body(key), JSON_OBJECT);
  expect(await pending()).toEqual([custody, RECORD, RUN]);
  await clean();
  expect(await outbox.putIfAbsent(RECORD, body('again'), JSON_OBJECT)).toEqual({ outcome: 'exists' });
  expect(await pending()).toEqual([RECORD]);
  expect(await announced()).toEqual([]);
  await clean();
});

test('an addition that fails is the writer’s trouble, and an announcement that fails is nobody’s', async () => {
  const down = retryable('queue_unavailable', 'the queue does not answer');
  const deaf = withSealingOutbox(
    store,
    {
      announce: () => Promise.reject(down),
      add: () => Promise.reject(down),
    },
    OPEN,
  );
  const key = `v1/records/${PLACE}/29679449/1/1.json`;
  await expect(deaf.putIfAbsent(key, body('1'), JSON_OBJECT)).rejects.toBe(down);
  expect(await store.head(key)).not.toBeNull();
});

test('custody objects of commands that reached no queue are found by their days', async () => {
  const day = (offset: number): string =>
    new Date(Date.now() + offset * 24 * HOUR_MS).toISOString().slice(0, 10);
  const key = (offset: number): string => `v1/custody/dt=${day(offset)}/of-a-test.json`;
  for (const offset of [0, -1]) await store.putIfAbsent(key(offset), body(`${offset}`), JSON_OBJECT);
  const deps = { store, pending: queue.pending, notes: queue.notes };
  await addMissedCommits({ ...deps, now: () => new Date() });
  expect(await pending()).toEqual([key(-1), key(0)].toSorted());
  await clean();
  // Once more, as clocks and writes under way may overlap; then they are known.
  const later = (): Date => new Date(Date.now() + HOUR_MS);
  await addMissedCommits({ ...deps, now: later });
  expect(await pending()).toContain(key(0));
  await clean();
  await addMissedCommits({ ...deps, now: later });
  expect(await pending()).toEqual([]);
});

test('custody objects of a time that a clock was ahead of are found once it is right again', async () => {
  const deps = { store, pending: queue.pending, notes: queue.notes };
  await addMissedCommits({ ...deps, now: () => new Date(Date.now() + 400 * 24 * HOUR_MS) });
  await clean();
  const key = 'v1/custody/dt=2020-01-20/while-it-was-ahead.json';
  await store.putIfAbsent(key, body('x'), JSON_OBJECT);
  await addMissedCommits({ ...deps, now: () => new Date() });
  expect(await pending()).toContain(key);
  await clean();
});

test('what was announced and written by somebody who died is added after a while; what was never written is forgotten', async () => {
  const written = `v1/records/${PLACE}/29679449/1/2.json`;
  const never = `v1/records/${PLACE}/29679449/1/3.json`;
  const dying = withSealingOutbox(
    store,
    {
      announce: (keys) => queue.pending.announce(keys),
      add: () => Promise.reject(new Error('killed')),
    },
    OPEN,
  );
  await expect(dying.putIfAbsent(written, body('2'), JSON_OBJECT)).rejects.toThrow('killed');
  await queue.pending.announce([never]);
  const deps = { store, pending: queue.pending, notes: queue.notes };
  await addMissedCommits({ ...deps, now: () => new Date() });
  // Whoever announced it a moment ago may still be at it.
  expect([...(await announced())].toSorted()).toEqual([written, never].toSorted());
  await addMissedCommits({ ...deps, now: () => new Date(Date.now() + HOUR_MS) });
  expect(await announced()).toEqual([]);
  expect(await pending()).toContain(written);
  expect(await pending()).not.toContain(never);
  await clean();
});
