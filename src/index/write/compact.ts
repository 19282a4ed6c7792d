import {
  partKey,
  partitionPrefix,
  parsePartKey,
  REBUILD_KEY,
  type PartName,
} from '../../archive/index-keys.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { listParts, widest, type Part } from '../parts.ts';
import { Gone } from '../parquet/ranged-file.ts';
import { ParquetFile } from '../parquet/read-file.ts';
import { readThrough } from '../through.ts';
import { removeObject } from './remove-object.ts';
import { storePart } from './store-part.ts';
import { COMMITS, JOBS, mergeSorted, type Table } from './tables.ts';

export interface CompactionDeps {
  readonly index: ObjectStore;
  /** Where a file waits until it is whole. */
  readonly spoolDir: string;
}

export interface CompactionOptions {
  readonly now: Date;
  /** Every day with more than one part, instead of those that readers wait for. */
  readonly all: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (partition: string, parts: number) => void;
}

export interface CompactionReport {
  /** Files made. */
  readonly merged: number;
  /** Parts that went into them, and those of them that were removed: a lock may forbid it. */
  readonly parts: number;
  readonly removed: number;
}

/** Files merged at once: each holds one row group of its columns as stored, about 3 MB, and some thousand rows. */
const MERGED_MAX = 48;
/** A day this old gets late rows only, which wait until there are several parts of them. */
const YOUNG_DAYS = 3;
const LATE_PARTS_MIN = 8;
/** A commits file of this size is not merged again before its month has ended: a day of a million jobs has about as much. */
const COMMITS_BYTES_ENOUGH = 4 * 1024 * 1024;
/** For this long after a month's end its late digests come in. */
const MONTH_LATE_MS = 2 * 86_400_000;
const DAY_MS = 86_400_000;

/**
 * Merges the parts of each day that has ended, and of commits, into one of a wider range, and then removes what that
 * contains. Can be stopped, and run by several at once: what was merged is not lost and not told twice. Does nothing while the
 * index is being made anew.
 * @throws EverlogError where the store does not answer, and `object_corrupt` where a part cannot be read
 */
export async function compactIndex(
  deps: CompactionDeps,
  options: CompactionOptions,
): Promise<CompactionReport> {
  const through = await readThrough(deps.index);
  const report = { merged: 0, parts: 0, removed: 0 };
  if (through === null) return report;
  for (const table of [JOBS, COMMITS] as const) {
    for (const [partition, parts] of await listParts(deps.index, table.name, {})) {
      if (options.signal?.aborted === true) return report;
      // Looked at after the listing: one that a rebuild has taken parts from must not become a part that seems to hold them.
      if ((await deps.index.head(REBUILD_KEY)) !== null) return report;
      // Only what every sequence up to the mark has is whole.
      const whole = parts.filter(({ to }) => to <= through.sequence);
      const chosen = chooseParts(table.name, partition, whole, options);
      if (chosen.length < 2) {
        report.removed += await removeContained(deps.index, table.name, partition);
        continue;
      }
      options.onProgress?.(partition, chosen.length);
      const isMerged =
        table.name === 'jobs' ? await merge(deps, JOBS, chosen) : await merge(deps, COMMITS, chosen);
      if (!isMerged) continue;
      report.merged += 1;
      report.parts += chosen.length;
      report.removed += await removeContained(deps.index, table.name, partition);
    }
  }
  return report;
}

/** Parts to be merged into one; they follow each other without another between them. */
function chooseParts(
  table: PartName['table'],
  partition: string,
  parts: readonly Part[],
  { now, all }: CompactionOptions,
): readonly Part[] {
  const inOrder = [...parts].sort((a, b) => a.from - b.from);
  if (table === 'commits') {
    const monthEndMs = Date.parse(`${nextMonth(partition)}-01T00:00:00Z`);
    if (now.getTime() > monthEndMs + MONTH_LATE_MS) return inOrder.slice(0, MERGED_MAX);
    const lastLarge = inOrder.findLastIndex(({ bytes }) => bytes >= COMMITS_BYTES_ENOUGH);
    return inOrder.slice(lastLarge + 1).slice(0, MERGED_MAX);
  }
  const ageDays = Math.floor((now.getTime() - Date.parse(`${partition}T00:00:00Z`)) / DAY_MS);
  const isDue = all || (ageDays >= 1 && (ageDays <= YOUNG_DAYS || parts.length >= LATE_PARTS_MIN));
  return isDue ? inOrder.slice(0, MERGED_MAX) : [];
}

/** Answers false, and stores nothing, where another process was at the same parts. */
async function merge<T extends object>(
  deps: CompactionDeps,
  table: Table<T>,
  parts: readonly Part[],
): Promise<boolean> {
  const [first] = parts;
  if (first === undefined) return false;
  const from = Math.min(...parts.map((part) => part.from));
  const to = Math.max(...parts.map((part) => part.to));
  const target: PartName = { table: table.name, partition: first.partition, from, to };
  try {
    const files = await Promise.all(
      parts.map((part) => ParquetFile.open(deps.index, part, { requests: 0, bytes: 0 })),
    );
    const rows = mergeSorted(
      table,
      files.map((file) => table.read(file)),
    );
    // A listing is no snapshot: had it missed a part within the range, the wider file would hide that for good.
    const stand = async (): Promise<boolean> => isWhole(deps.index, target, parts);
    if (!(await stand())) return false;
    await storePart(deps.index, partKey(target), table, rows, deps.spoolDir);
    return true;
  } catch (error) {
    if (error instanceof Gone) return false;
    throw error;
  }
}

/** Whether what stands within the range is what is being merged, as far as nothing of that contains it. */
async function isWhole(index: ObjectStore, target: PartName, parts: readonly Part[]): Promise<boolean> {
  const standing = await partsOf(index, target.table, target.partition);
  const isKnown = (part: Part): boolean =>
    parts.some((one) => one.from <= part.from && one.to >= part.to) ||
    part.to < target.from ||
    part.from > target.to;
  return widest(standing).every((part) => isKnown(part));
}

/** Removes the parts that a wider one contains, in the order in which they are listed; answers how many went. */
async function removeContained(
  index: ObjectStore,
  table: PartName['table'],
  partition: string,
): Promise<number> {
  const parts = await partsOf(index, table, partition);
  const kept = new Set(widest(parts).map(({ key }) => key));
  let removed = 0;
  for (const { key } of parts) {
    if (!kept.has(key) && (await removeObject(index, key)) === 'removed') removed += 1;
  }
  return removed;
}

async function partsOf(index: ObjectStore, table: PartName['table'], partition: string): Promise<Part[]> {
  const parts: Part[] = [];
  for await (const { key, bytes } of index.list(partitionPrefix(table, partition))) {
    const name = parsePartKey(key);
    if (name !== null) parts.push({ ...name, key, bytes });
  }
  return parts;
}

function nextMonth(month: string): string {
  const [year = 0, number = 1] = month.split('-').map(Number);
  return new Date(Date.UTC(year, number, 1)).toISOString().slice(0, 7);
}
