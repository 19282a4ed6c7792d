import type { RowGroup } from 'hyparquet';
import { hashParquetValue, readBloomFilter, sbbfContains } from 'hyparquet/src/bloom.js';
import type { ObjectStore } from '../store/object-store.ts';
import { listParts, type Part, type Partitions } from './parts.ts';
import { COMMIT_COLUMNS, type CommitRow } from './parquet/columns.ts';
import { Gone, type ReadMeter } from './parquet/ranged-file.ts';
import { ParquetFile } from './parquet/read-file.ts';
import { commitRowOf } from './parquet/read-rows.ts';

/** Files looked into at once. */
const FILES_IN_FLIGHT_MAX = 32;
/** Times that the parts are listed again because one was merged into a wider one meanwhile. */
const LISTINGS_MAX = 5;
/** A hash in full, SHA-1 or SHA-256: only that can be looked up in a bloom filter. */
const WHOLE_SHA = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;
const COLUMNS = COMMIT_COLUMNS.map(({ name }) => name);

/**
 * Where jobs of commits are, by each commit's hash in lower case or how it begins. A place may come more than once.
 * @throws EverlogError `object_corrupt` where a file cannot be read, and where the store does not answer
 */
export async function findCommits(
  store: Pick<ObjectStore, 'list' | 'readRange'>,
  asked: readonly string[],
  months: Partitions,
  meter: ReadMeter,
): Promise<readonly CommitRow[]> {
  for (let listings = 0; ; listings += 1) {
    meter.requests += 1;
    const parts = [...(await listParts(store, 'commits', months)).values()].flat();
    try {
      const found: CommitRow[] = [];
      for (let at = 0; at < parts.length; at += FILES_IN_FLIGHT_MAX) {
        const some = parts.slice(at, at + FILES_IN_FLIGHT_MAX);
        const rows = await Promise.all(some.map((part) => findInPart(store, part, asked, meter)));
        found.push(...rows.flat());
      }
      return found;
    } catch (error) {
      if (!(error instanceof Gone) || listings >= LISTINGS_MAX) throw error;
    }
  }
}

async function findInPart(
  store: Pick<ObjectStore, 'readRange'>,
  part: Part,
  asked: readonly string[],
  meter: ReadMeter,
): Promise<readonly CommitRow[]> {
  const file = await ParquetFile.open(store, part, meter);
  const found: CommitRow[] = [];
  for (const group of file.groups) {
    const bounds = file.bounds(group, 'head_sha');
    const near = asked.filter((sha) => mayStandBetween(sha, bounds?.min, bounds?.max));
    const wanted = await withoutAbsent(file, group, near);
    if (wanted.length > 0) found.push(...(await findInGroup(file, group, wanted)));
  }
  return found;
}

async function findInGroup(
  file: ParquetFile,
  group: RowGroup,
  asked: readonly string[],
): Promise<CommitRow[]> {
  const span = await file.narrow(group, 'head_sha', COLUMNS, (min, max) =>
    asked.some((sha) => mayStandBetween(sha, min, max)),
  );
  if (span === null) return [];
  const read = await file.readRows(group, span, COLUMNS);
  const shas = await read('head_sha');
  const byLength = [...startsByLength(asked)];
  const found: CommitRow[] = [];
  let values: Map<string, ArrayLike<unknown>> | null = null;
  for (let at = 0; at < shas.length; at += 1) {
    const sha: unknown = shas[at];
    if (typeof sha !== 'string' || !byLength.some(([length, starts]) => starts.has(sha.slice(0, length))))
      continue;
    values ??= new Map(await Promise.all(COLUMNS.map(async (name) => [name, await read(name)] as const)));
    const columns = values;
    found.push(commitRowOf((column) => columns.get(column)?.[at]));
  }
  return found;
}

/** Those of the hashes that the row group's bloom filter does not rule out. */
async function withoutAbsent(
  file: ParquetFile,
  group: RowGroup,
  asked: readonly string[],
): Promise<readonly string[]> {
  if (!asked.some((sha) => WHOLE_SHA.test(sha))) return asked;
  const bytes = await file.bloom(group, 'head_sha');
  const bloom = bytes === null ? undefined : readBloomFilter({ view: new DataView(bytes), offset: 0 });
  if (bloom === undefined) return asked;
  const element = file.elementOf('head_sha');
  return asked.filter((sha) => {
    const hash = WHOLE_SHA.test(sha) ? hashParquetValue(sha, element) : undefined;
    return hash === undefined || sbbfContains(bloom.blocks, hash);
  });
}

/** Hashes and beginnings of such by their length, so that one is looked up once for each length. */
export function startsByLength(asked: readonly string[]): ReadonlyMap<number, ReadonlySet<string>> {
  const byLength = new Map<number, Set<string>>();
  for (const start of asked) byLength.set(start.length, (byLength.get(start.length) ?? new Set()).add(start));
  return byLength;
}

/** Whether something that begins so may stand from `min` to `max`; both may be cut. */
function mayStandBetween(start: string, min: unknown, max: unknown): boolean {
  if (typeof min !== 'string' || typeof max !== 'string') return true;
  return start >= min.slice(0, start.length) && start <= max;
}
