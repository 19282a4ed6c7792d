/**
 * Keys of the query index (CONTRACT §4), relative to the index's own place, which is `index/` below the archive unless set
 * otherwise. Nothing in it is evidence: all of it can be made again from ledger and records.
 */

/** A file of rows, and the ledger sequences whose entries it holds, all of those that belong to its partition. */
export interface PartName {
  readonly table: 'jobs' | 'commits';
  /** Of jobs the day, `YYYY-MM-DD`; of commits the month, `YYYY-MM`. UTC. */
  readonly partition: string;
  /** First and last sequence; 0 and 0 for what was read without a ledger. */
  readonly from: number;
  readonly to: number;
}

export const JOBS_ROOT = 'jobs/';
export const COMMITS_ROOT = 'commits/';
export const RECENT_ROOT = 'recent/';
export const THROUGH_ROOT = 'through/';
/** Exists while the index is being made anew. */
export const REBUILD_KEY = 'rebuild.json';
/** How far that has come, by its own word. */
export const REBUILT_ROOT = 'rebuild/';

const SEQUENCE_DIGITS = 10;
const PART =
  /^(?:jobs\/dt=(\d{4}-\d{2}-\d{2})|commits\/month=(\d{4}-\d{2}))\/(\d{10,16})-(\d{10,16})\.parquet$/;
const RECENT = /^recent\/dt=(\d{4}-\d{2}-\d{2})\/(\d{4})-[A-Za-z0-9]{1,40}\.parquet$/;
const THROUGH = /^through\/(\d{10,16})\.json$/;
const REBUILT = /^rebuild\/(\d{10,16})\.json$/;

/** Key of a part. */
export function partKey({ table, partition, from, to }: PartName): string {
  return `${partitionPrefix(table, partition)}${padded(from)}-${padded(to)}.parquet`;
}

/** Prefix of a partition's parts. */
export function partitionPrefix(table: PartName['table'], partition: string): string {
  return table === 'jobs' ? `${JOBS_ROOT}dt=${partition}/` : `${COMMITS_ROOT}month=${partition}/`;
}

/** Takes a part's key apart; null for a key of another kind. */
export function parsePartKey(key: string): PartName | null {
  const [, dt, month, from = '', to = ''] = PART.exec(key) ?? [];
  const partition = dt ?? month;
  if (partition === undefined || Number(from) > Number(to)) return null;
  return { table: dt === undefined ? 'commits' : 'jobs', partition, from: Number(from), to: Number(to) };
}

/** Key of rows that a worker has just recorded, by the minute (UTC) in which it tells of them. `id` keeps workers apart. */
export function recentKey(at: Date, id: string): string {
  const text = at.toISOString();
  return `${RECENT_ROOT}dt=${text.slice(0, 10)}/${text.slice(11, 13)}${text.slice(14, 16)}-${id}.parquet`;
}

/** The minute in a recent file's key, in milliseconds since 1970; null for a key of another kind. */
export function minuteOfRecentKey(key: string): number | null {
  const [, dt, minute = ''] = RECENT.exec(key) ?? [];
  if (dt === undefined) return null;
  const ms = Date.parse(`${dt}T${minute.slice(0, 2)}:${minute.slice(2)}:00Z`);
  return Number.isNaN(ms) ? null : ms;
}

/** A key before every recent file of this minute and later. */
export function recentFrom(at: Date): string {
  const key = recentKey(at, '');
  return key.slice(0, key.lastIndexOf('-'));
}

/** Key of what says that every sequence up to this one is indexed. */
export function throughKey(sequence: number): string {
  return `${THROUGH_ROOT}${padded(sequence)}.json`;
}

/** The sequence in such a key; null for a key of another kind. */
export function sequenceOfThroughKey(key: string): number | null {
  const [, digits] = THROUGH.exec(key) ?? [];
  return digits === undefined ? null : Number(digits);
}

/** Key of what says that a rebuild has removed the old index (0) and indexed every sequence up to this one. */
export function rebuiltKey(sequence: number): string {
  return `${REBUILT_ROOT}${padded(sequence)}.json`;
}

/** The sequence in such a key; null for a key of another kind. */
export function sequenceOfRebuiltKey(key: string): number | null {
  const [, digits] = REBUILT.exec(key) ?? [];
  return digits === undefined ? null : Number(digits);
}

function padded(sequence: number): string {
  if (!Number.isSafeInteger(sequence) || sequence < 0) throw new Error(`not a sequence: ${sequence}`);
  return String(sequence).padStart(SEQUENCE_DIGITS, '0');
}
