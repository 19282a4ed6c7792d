import { expect, test } from 'vitest';
import { SharedWork } from '../../../src/web/log/shared-work.ts';

const never = new AbortController().signal;

interface Made {
  readonly signal: AbortSignal;
  readonly resolve: (text: string) => void;
  readonly reject: (error: Error) => void;
}

/** Work that ends when the test says so. */
function worked() {
  const made: Made[] = [];
  const work = (signal: AbortSignal): Promise<string> =>
    new Promise((resolve, reject) => made.push({ signal, resolve, reject }));
  return { shared: new SharedWork<string>(), work, made };
}

test('who asks for the same meanwhile has the same answer, and who comes later another', async () => {
  const { shared, work, made } = worked();
  const asked = [shared.join('a', work, never), shared.join('a', work, never), shared.join('b', work, never)];
  expect(made).toHaveLength(2);
  made[0]?.resolve('one');
  made[1]?.resolve('other');
  expect(await Promise.all(asked)).toEqual(['one', 'one', 'other']);
  const later = shared.join('a', work, never);
  made[2]?.resolve('anew');
  expect(await later).toBe('anew');
});

test('it goes on while one waits, is told to end when nobody does, and then nobody joins it', async () => {
  const { shared, work, made } = worked();
  const [first, second] = [new AbortController(), new AbortController()];
  const asked = [shared.join('a', work, first.signal), shared.join('a', work, second.signal)];
  const ended = Promise.allSettled(asked);
  first.abort();
  await expect(asked[0]).rejects.toThrow('nobody waits');
  expect(made[0]?.signal.aborted).toBe(false);
  second.abort();
  expect((await ended).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  expect(made[0]?.signal.aborted).toBe(true);
  const after = shared.join('a', work, never);
  made[0]?.reject(new Error('ended'));
  made[1]?.resolve('anew');
  expect(await after).toBe('anew');
});

test('a failure is that of all who wait', async () => {
  const { shared, work, made } = worked();
  const ended = Promise.allSettled([shared.join('a', work, never), shared.join('a', work, never)]);
  made[0]?.reject(new Error('corrupt'));
  expect(await ended).toEqual([
    { status: 'rejected', reason: new Error('corrupt') },
    { status: 'rejected', reason: new Error('corrupt') },
  ]);
  await expect(shared.join('a', work, AbortSignal.abort())).rejects.toThrow('aborted');
});
