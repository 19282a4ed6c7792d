import { minuteOfRecentKey, recentFrom, RECENT_ROOT } from '../archive/index-keys.ts';
import { readRecord, RECORDS_IN_FLIGHT_MAX, type RecordEntry } from '../archive/find/find-records.ts';
import { parseKey, recordKey } from '../archive/keys.ts';
import { forEachInFlight } from '../in-flight.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { dayOf, jobRow } from './job-row.ts';
import { isAt, type JobQuery } from './job-query.ts';
import { entriesOf, readDigest } from './ledger-entries.ts';
import type { JobRow } from './parquet/columns.ts';
import { ParquetFile } from './parquet/read-file.ts';
import { Gone, type ReadMeter } from './parquet/ranged-file.ts';
import { readJobRows } from './parquet/read-rows.ts';
import type { Through } from './through.ts';

/** What the index does not hold yet, and how far this reaches. */
export interface Unindexed {
  readonly rows: readonly JobRow[];
  /** The last digest read: everything it sealed, and everything before, is in the answer. */
  readonly sealedThrough: number;
  /** What was recorded until then is in the answer: the end of that digest's window; null where there is none. */
  readonly completeUntil: Date | null;
}

export interface UnindexedDeps {
  readonly archive: ObjectStore;
  readonly index: ObjectStore;
  readonly meter: ReadMeter;
  /** A record of the ledger that cannot be read. */
  readonly onProblem: (key: string, problem: string) => void;
  /** Called for every record read one by one. */
  readonly onRecord?: () => void;
}

/** What is committed in a window's last minutes may be sealed by the next digest, so recent files are read from before its end. */
const RECENT_OVERLAP_MS = 10 * 60_000;
/** Files read at once. */
const RECENT_IN_FLIGHT_MAX = 32;

/**
 * Rows that may be wanted and that the parts may not hold yet: those that workers told of since, and the records that later
 * digests sealed. Records whose key says that they are not wanted are not read.
 * @throws EverlogError where a store does not answer, and `object_corrupt` where the ledger cannot be read
 */
export async function readUnindexed(
  deps: UnindexedDeps,
  through: Through,
  query: JobQuery,
): Promise<Unindexed> {
  const recent = await readRecent(deps, through);
  const known = new Set(recent.map((row) => rowKey(row)));
  const rows: JobRow[] = [...recent];
  let sealedThrough = through.sequence;
  let completeUntil = through.recordedThrough;
  for (;;) {
    deps.meter.requests += 1;
    const digest = await readDigest(deps.archive, sealedThrough + 1);
    if (digest === null) break;
    const wanted = wantedEntries(deps, digest, query, known);
    await forEachInFlight(wanted, RECORDS_IN_FLIGHT_MAX, async (entry) => {
      deps.meter.requests += 1;
      const read = await readRecord(deps.archive, entry);
      deps.onRecord?.();
      if (read.ok) {
        deps.meter.bytes += read.stored.bytes.byteLength;
        rows.push(jobRow(read.stored, null));
      } else deps.onProblem(entry.key, read.problem);
    });
    sealedThrough = digest.sequence;
    completeUntil = digest.windowEnd;
  }
  return { rows, sealedThrough, completeUntil };
}

async function* wantedEntries(
  deps: UnindexedDeps,
  digest: Parameters<typeof entriesOf>[1],
  query: JobQuery,
  known: ReadonlySet<string>,
): AsyncGenerator<RecordEntry> {
  deps.meter.requests += 1;
  for await (const { type, key, logKey } of entriesOf(deps.archive, digest)) {
    if (type !== 'record' || known.has(key)) continue;
    const parsed = parseKey(key);
    if (parsed?.type !== 'record') continue;
    const { address, revision } = parsed;
    // A later revision is always read: it may say that an indexed one does not count any more.
    if (revision === 1 && !mayMatch(query, address, logKey)) continue;
    yield { key, address, revision, bytes: 0 };
  }
}

/** Whether a key leaves it open that the record is wanted. */
function mayMatch(
  query: JobQuery,
  address: { host: string; owner: string; repo: string; runId: number; runAttempt: number; jobId: number },
  logKey: string | null,
): boolean {
  const { runId, attempt, jobId, anyId, since, until } = query.filters;
  const log = logKey === null ? null : parseKey(logKey);
  const dt = log?.type === 'log' ? log.dt : null;
  const repository = `${address.owner}/${address.repo}`;
  // Which repository it is, by its id, only the record knows.
  const isThere = query.places?.some((place) => isAt(place, { host: address.host, repository })) ?? true;
  return (
    isThere &&
    (runId === undefined || runId === address.runId) &&
    (attempt === undefined || attempt === address.runAttempt) &&
    (jobId === undefined || jobId === address.jobId) &&
    (anyId === undefined || anyId === address.jobId || anyId === address.runId) &&
    (dt === null || since === undefined || dt >= dayOf(since.getTime())) &&
    (dt === null || until === undefined || dt <= dayOf(until.getTime()))
  );
}

async function readRecent(deps: UnindexedDeps, through: Through): Promise<readonly JobRow[]> {
  const since = (through.recordedThrough?.getTime() ?? 0) - RECENT_OVERLAP_MS;
  const startAfter = since <= 0 ? undefined : recentFrom(new Date(since));
  const rows: JobRow[] = [];
  const files: { key: string; bytes: number }[] = [];
  deps.meter.requests += 1;
  for await (const { key, bytes } of deps.index.list(RECENT_ROOT, startAfter)) {
    if (minuteOfRecentKey(key) !== null) files.push({ key, bytes });
  }
  async function* source(): AsyncGenerator<{ key: string; bytes: number }> {
    yield* files;
  }
  await forEachInFlight(source(), RECENT_IN_FLIGHT_MAX, async (object) => {
    try {
      const file = await ParquetFile.open(deps.index, object, deps.meter);
      for await (const row of readJobRows(file)) rows.push(row);
    } catch (error) {
      // Removed since it was listed, because the index holds its rows now.
      if (!(error instanceof Gone)) throw error;
    }
  });
  return rows;
}

/** The key of a row's record. */
export function rowKey(
  row: Pick<JobRow, 'host' | 'repository' | 'run_id' | 'run_attempt' | 'job_id' | 'revision'>,
): string {
  const [owner = '', repo = ''] = row.repository.split('/');
  const { host, run_id: runId, run_attempt: runAttempt, job_id: jobId } = row;
  return recordKey({ host, owner, repo, runId, runAttempt, jobId }, row.revision);
}
