import { expect, test } from 'vitest';
import { createBodyRoom } from '../../../src/receiver/read-body.ts';

/** Room for bodies in flight. */

const RESERVE = { bytes: 40, bodyBytesMax: 10 };

test('what a body took is given back once, and then fits others', () => {
  const room = createBodyRoom(100, RESERVE);
  const large = room.open(60);
  expect(large.take(60)).toBe(true);
  const next = room.open(60);
  expect([next.fits(1), next.take(1)]).toEqual([false, false]);
  large.release();
  large.release();
  expect(next.take(60)).toBe(true);
  expect(room.open(60).fits(1)).toBe(false);
});

test('the reserve is for bodies that say that they are small', () => {
  const room = createBodyRoom(100, RESERVE);
  expect(room.open(null).take(60)).toBe(true);
  expect([null, 11].map((declared) => room.open(declared).fits(1))).toEqual([false, false]);
  const small = room.open(10);
  expect(small.take(10)).toBe(true);
  expect(room.open(10).take(31)).toBe(false);
  expect(room.open(10).take(30)).toBe(true);
});

test('a body that does not fit takes nothing', () => {
  const room = createBodyRoom(100, RESERVE);
  const share = room.open(null);
  expect(share.take(61)).toBe(false);
  expect(share.take(60)).toBe(true);
});
