import { afterEach, expect, test } from 'vitest';
import { giveUp, retryable } from '../../../src/errors.ts';
import { watchQueue, type QueueWatch } from '../../../src/service/health/queue-watch.ts';
import { SILENT } from '../../support/harness/queue-under-test.ts';

/** Who may add to a queue, and when: never before it was found good on the connection that there is. */
const FOREIGN = giveUp('queue_foreign', 'the queue belongs to another archive');
const UNSAFE = giveUp('queue_unsafe', 'the queue server may lose jobs');
const AWAY = retryable('queue_unavailable', 'LOADING Redis is loading the dataset in memory');

let stopping = new AbortController();

afterEach(() => {
  stopping.abort();
  stopping = new AbortController();
});

interface Server {
  connection: number;
  firstContact: Promise<void>;
  /** What the next trials come to; resolved by hand. */
  readonly trials: { pass(): void; fail(error: unknown): void }[];
}

function watched(): { readonly server: Server; readonly watch: QueueWatch } {
  const server: Server = { connection: 1, firstContact: Promise.resolve(), trials: [] };
  const trial = (): Promise<void> =>
    new Promise((resolve, reject) => server.trials.push({ pass: resolve, fail: reject }));
  const watch = watchQueue(trial, server, SILENT, stopping.signal);
  return { server, watch };
}

/** The trial of that number: after one that failed, the next comes by itself within a second. */
async function begun(server: Server, number: number): Promise<Server['trials'][number]> {
  const deadlineMs = Date.now() + 10_000;
  for (;;) {
    const trial = server.trials[number - 1];
    if (trial !== undefined) return trial;
    if (Date.now() > deadlineMs) throw new Error(`no trial ${number}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function stateOf(work: Promise<unknown>): Promise<'waits' | 'ended'> {
  const ended = work.then(
    () => 'ended' as const,
    () => 'ended' as const,
  );
  return Promise.race([ended, new Promise<'waits'>((resolve) => setImmediate(() => resolve('waits')))]);
}

test('nobody is admitted before the first trial went well, and all at once then, without another', async () => {
  const { server, watch } = watched();
  const admissions = [watch.admit(), watch.admit()];
  const first = await begun(server, 1);
  expect(await stateOf(Promise.race(admissions))).toBe('waits');
  first.pass();
  await Promise.all(admissions);
  await watch.works;
  await watch.admit();
  expect(server.trials).toHaveLength(1);
});

test.each([
  ['another archive’s', FOREIGN],
  ['an unsafe', UNSAFE],
])(
  '%s queue admits nobody, in words of a delivery that is not taken, and ends the service',
  async (_name, trouble) => {
    const { server, watch } = watched();
    const admission = watch.admit();
    (await begun(server, 1)).fail(trouble);
    await expect(watch.failed).rejects.toBe(trouble);
    for (const asked of [admission, watch.admit()])
      await expect(asked).rejects.toMatchObject({
        code: 'queue_unavailable',
        message: expect.stringContaining(trouble.message),
      });
  },
);

test('what does not work yet admits nobody, at once, and is tried again by itself', async () => {
  const { server, watch } = watched();
  (await begun(server, 1)).fail(AWAY);
  await expect(watch.admit()).rejects.toMatchObject({ code: 'queue_unavailable' });
  await expect(watch.admit()).rejects.toMatchObject({ message: expect.stringContaining('LOADING') });
  (await begun(server, 2)).pass();
  await watch.works;
  await watch.admit();
});

test('a new connection is judged anew before anybody is admitted by it, once for all', async () => {
  const { server, watch } = watched();
  (await begun(server, 1)).pass();
  await watch.works;
  server.connection = 2;
  const admissions = [watch.admit(), watch.admit()];
  const second = await begun(server, 2);
  expect(await stateOf(Promise.race(admissions))).toBe('waits');
  second.pass();
  await Promise.all(admissions);
  expect(server.trials).toHaveLength(2);
  server.connection = 3;
  const refused = watch.admit();
  (await begun(server, 3)).fail(FOREIGN);
  await expect(refused).rejects.toMatchObject({ code: 'queue_unavailable' });
});

test('a trial that began on the connection before speaks for none', async () => {
  const { server, watch } = watched();
  const admission = watch.admit();
  const first = await begun(server, 1);
  server.connection = 2;
  first.pass();
  const second = await begun(server, 2);
  expect(await stateOf(admission)).toBe('waits');
  second.pass();
  await admission;
});

test('a server that grows unsafe is waited for, while nobody is admitted; one that turns foreign ends the service', async () => {
  const { server, watch } = watched();
  (await begun(server, 1)).pass();
  await watch.works;
  server.connection = 2;
  const unsafe = watch.admit();
  (await begun(server, 2)).fail(UNSAFE);
  await expect(unsafe).rejects.toMatchObject({ code: 'queue_unavailable' });
  (await begun(server, 3)).pass();
  expect(await stateOf(watch.failed)).toBe('waits');
  await watch.admit();
  server.connection = 3;
  const foreign = watch.admit();
  (await begun(server, 4)).fail(FOREIGN);
  await expect(foreign).rejects.toMatchObject({ code: 'queue_unavailable' });
  (await begun(server, 5)).fail(FOREIGN);
  await expect(watch.failed).rejects.toBe(FOREIGN);
});
