import { expect, test } from 'vitest';
import {
  comparedThrough,
  isActive,
  lookbackOf,
  type ComparedRepository,
} from '../../../src/reconcile/compared-note.ts';

const HOUR_MS = 3_600_000;
const NOW = new Date('2026-11-20T12:00:00.000Z');
const LIMITS = { lookbackMs: 72 * HOUR_MS, retentionMs: 90 * 24 * HOUR_MS };

function ago(hours: number): string {
  return new Date(NOW.getTime() - hours * HOUR_MS).toISOString();
}

function compared(about: Partial<ComparedRepository>): ComparedRepository {
  return { at: ago(1), run_at: null, installation_id: 1, suspended: false, ...about };
}

test('everything is compared up to where the one that was compared longest ago was', () => {
  const of = (...all: Partial<ComparedRepository>[]): Date | 'never' | null =>
    comparedThrough(new Map(all.map((about, index) => [`github.com/${index}`, compared(about)])));
  expect(of()).toBeNull();
  expect(of({ at: ago(1) }, { at: ago(20) }, { at: ago(3) })).toEqual(new Date(ago(20)));
  expect(of({ at: ago(1) }, { at: null })).toBe('never');
  expect(of({ at: ago(1) }, { at: ago(900), suspended: true }, { at: null, suspended: true })).toEqual(
    new Date(ago(1)),
  );
});

test('a repository is active by its runs, not by pushes alone', () => {
  const pushed = (hours: number): Date => new Date(ago(hours));
  const active = (known: ComparedRepository | undefined, pushedAt: Date | null): boolean =>
    isActive(known, pushedAt, NOW, LIMITS.lookbackMs);
  expect(active(compared({}), pushed(71))).toBe(true);
  expect(active(compared({}), pushed(73))).toBe(false);
  expect(active(compared({ run_at: ago(24) }), pushed(9_000))).toBe(true);
  expect(active(compared({ run_at: ago(24 * 7) }), pushed(9_000))).toBe(true);
  expect(active(compared({ run_at: ago(24 * 9) }), pushed(9_000))).toBe(false);
  expect(active(undefined, pushed(9_000))).toBe(true);
  expect(active(compared({ at: null }), pushed(9_000))).toBe(true);
  expect(active(compared({}), null)).toBe(true);
});

test('after an outage a comparison looks back to where the last one ended', () => {
  expect(lookbackOf(null, NOW, LIMITS)).toBe(LIMITS.lookbackMs);
  expect(lookbackOf(undefined, NOW, LIMITS)).toBe(LIMITS.lookbackMs);
  expect(lookbackOf(ago(1), NOW, LIMITS)).toBe(LIMITS.lookbackMs);
  expect(lookbackOf(ago(200), NOW, LIMITS)).toBe(200 * HOUR_MS);
  expect(lookbackOf(ago(9_000), NOW, LIMITS)).toBe(LIMITS.retentionMs);
});
