import type { ObjectStore } from '../../store/object-store.ts';
import type { Report } from './results.ts';
import type { SelectedObjects } from './selection.ts';

/** What one verification is about, and what it has done so far. */

/** Everything below it is evidence, but for the names of repositories. */
export const EVIDENCE_ROOT = 'v1/';

export const LEVELS = ['ledger', 'heads', 'bytes'] as const;
/** `ledger`: the ledger's own files alone; `heads`: also what the store says of each object; `bytes`: also every byte. */
export type Level = (typeof LEVELS)[number];

/** Part of the ledger by its windows; open where null. */
export interface Range {
  readonly fromMs: number | null;
  readonly toMs: number | null;
}

export interface Scope {
  readonly store: ObjectStore;
  /** A bundle holds selected digests, entries and objects, and stands in a folder of its own. */
  readonly isBundle: boolean;
  /** Of all objects. */
  readonly level: Level;
  /** So many random entries are checked at level `bytes` instead; null: none apart. */
  readonly sample: number | null;
  readonly range: Range;
  /** Of all objects, those that are looked at; null: all. The ledger itself is looked at as a whole. */
  readonly selected: SelectedObjects | null;
  readonly nowMs: number;
  readonly report: Report;
  readonly meter: Meter;
}

/** What has been done so far. */
export class Meter {
  digests = 0;
  /** That the range and the selection ask for. */
  entries = 0;
  /** Objects below `v1/` that were looked at. */
  objects = 0;
  /** Bytes read of them. */
  bytes = 0;
  /** Versions in the listing. */
  listed = 0;
  /** Things in which nothing is wrong. */
  valid = 0;
}

/** Whether a window has a part in the range. */
export function overlaps(range: Range, startMs: number, endMs: number): boolean {
  return (range.fromMs === null || endMs >= range.fromMs) && (range.toMs === null || startMs <= range.toMs);
}
