import { expect, test } from 'vitest';
import { openPermits, type Permit } from '../../../src/github/permits.ts';

/** Whether it is given without anybody giving one back first. */
async function isGiven(permit: Promise<Permit>): Promise<boolean> {
  const none = new Promise<null>((resolve) => {
    setImmediate(resolve, null);
  });
  return (await Promise.race([permit, none])) !== null;
}

test('no more are given than there are, and the next goes to who has waited longest', async () => {
  const permits = openPermits(2);
  const [first, second] = [await permits.forCall(), await permits.forCall()];
  const third = permits.forCall();
  const fourth = permits.forCall();
  expect(await isGiven(third)).toBe(false);
  first.release();
  expect(await isGiven(third)).toBe(true);
  expect(await isGiven(fourth)).toBe(false);
  // Given back already: nobody else gets in by it.
  first.release();
  expect(await isGiven(fourth)).toBe(false);
  second.release();
  expect(await isGiven(fourth)).toBe(true);
});

test('logs leave one for calls', async () => {
  const permits = openPermits(3);
  await permits.forLog();
  const log = await permits.forLog();
  const third = permits.forLog();
  expect(await isGiven(third)).toBe(false);
  const call = await permits.forCall();
  expect(await isGiven(permits.forCall())).toBe(false);
  call.release();
  log.release();
  expect(await isGiven(third)).toBe(true);
});

test('where there is one, logs and calls take turns', async () => {
  const permits = openPermits(1);
  const log = await permits.forLog();
  const call = permits.forCall();
  const next = permits.forLog();
  expect(await isGiven(call)).toBe(false);
  log.release();
  (await call).release();
  expect(await isGiven(next)).toBe(true);
});
