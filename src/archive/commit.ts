import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { recordAt, type ReadableRecord, type StandingRecord } from './job-records.ts';
import { logKey, recordKey, type JobAddress } from './keys.ts';
import type { ObjectStore, PutBody } from '../store/object-store.ts';
import { bytesBody } from '../store/put-body.ts';
import { parseRecord, serializeRecord, type JobRecord, type RecordedLog } from './record.ts';

/**
 * The commit protocol (DESIGN decision 4): the log first, the record last, both create-only. Every step can be repeated:
 * what is there already and says the same is success, what says something else makes ours the next revision.
 */

/** A record without what the commit decides; a whole record is none, so that nobody's revision is taken for the new one's. */
export type RecordDraft = Omit<JobRecord, DecidedHere> & { readonly [K in DecidedHere]?: never };
type DecidedHere = 'revision' | 'supersedes' | 'log';

/** What a standing record says, for a draft of what follows it. */
export function draftFrom(record: JobRecord): RecordDraft {
  const { revision: _revision, supersedes: _supersedes, log: _log, ...draft } = record;
  return draft;
}

/** A log that is ready to be stored. */
export interface ReadyLog {
  readonly body: PutBody;
  readonly sha256: string;
  readonly bytes: number;
  readonly lines: number;
  /** Where the gzip can be entered. */
  readonly points: NonNullable<RecordedLog['points']> | null;
}

export interface Commit {
  /** Where the job stands: the address of the first copy seen, and the day in its log's key. */
  readonly address: JobAddress;
  readonly dt: string;
  readonly draft: RecordDraft;
  /** The record that this one follows, if any. */
  readonly prior: StandingRecord | null;
}

export interface Committed {
  readonly key: string;
  readonly revision: number;
  readonly record: JobRecord;
  /** False when the archive already said the same. */
  readonly written: boolean;
}

/** The largest log that is fetched where nobody says otherwise (EVERLOG_JOB_LOG_MAX_BYTES): a larger one that stands is fetched anew. */
const ADOPTED_BYTES_MAX = 10 * 1024 ** 3;
/** More revisions of one job than this mean that something writes without end. */
const REVISIONS_MAX = 100;

/** Commits what is now known of a recorded job, with the log that it has: the next revision of its record. */
export async function commitRecordRevision(
  store: ObjectStore,
  standing: StandingRecord,
  draft: RecordDraft,
): Promise<void> {
  // Another process may have written that revision meanwhile: the newest is looked at again by the next sweep.
  await putRecord(store, standing.address, nextRecord(draft, standing, standing.record?.log ?? null));
}

/**
 * Commits that a job's log was erased: the next revision after whatever stands, so that nothing fetches the job again. Answers
 * the record's key, also when another process has written it.
 */
export async function commitErasure(
  store: ObjectStore,
  standing: ReadableRecord,
  draftOn: (record: JobRecord) => RecordDraft,
): Promise<string> {
  const { address } = standing;
  let prior: ReadableRecord = standing;
  for (let tries = 0; tries < REVISIONS_MAX; tries += 1) {
    const record = nextRecord(draftOn(prior.record), prior, null);
    const { key, created } = await putRecord(store, address, record);
    if (created) return key;
    const { revision } = record;
    const there = await recordAt(store, key, address, revision);
    if (there?.outcome === record.outcome) return key;
    prior = { key, address, revision, record: there ?? prior.record };
  }
  throw new Error(`more than ${REVISIONS_MAX} records of job ${address.jobId}`);
}

/** Stores a log and commits its record. */
export async function commitLog(store: ObjectStore, commit: Commit, log: ReadyLog): Promise<Committed> {
  for (let revision = 1; revision <= REVISIONS_MAX; revision += 1) {
    const key = logKey(commit.address, commit.dt, revision);
    const put = await store.putIfAbsent(key, log.body, {
      contentType: 'application/gzip',
      metadata: { sha256: log.sha256, bytes: String(log.bytes) },
      kind: 'log',
    });
    if (put.outcome === 'created') return commitRecord(store, commit, recorded(key, put.versionId, log));
    const standing = await adoptableLog(store, key);
    if (standing === null) throw new Error(`the store has and has not ${key}`);
    // Nobody's log stands in its place: ours goes beside it, and verification tells of what no record names.
    if (standing === 'no_log') continue;
    if (standing.sha256 === log.sha256) {
      const isOurs = standing.stored_sha256 === log.body.sha256;
      return commitRecord(store, commit, isOurs ? { ...standing, points: log.points } : standing);
    }
    if (commit.prior === null && revision === 1) {
      // A log without a record, left by a crash, that GitHub no longer serves in these bytes: it is evidence too.
      const adopted = await commitRecord(store, { ...commit, draft: adoptedDraft(commit.draft) }, standing);
      const address = commit.address;
      const prior = { key: adopted.key, address, revision: adopted.revision, record: adopted.record };
      return commitLog(store, { ...commit, prior }, log);
    }
  }
  throw new Error(`more than ${REVISIONS_MAX} logs of job ${commit.address.jobId}`);
}

/** Commits a record that has no log, unless the archive already says the same of the job. */
export async function commitAbsence(store: ObjectStore, commit: Commit): Promise<Committed> {
  const { prior, draft } = commit;
  const said = prior?.record ?? null;
  if (prior !== null && said?.outcome === draft.outcome)
    return { key: prior.key, revision: prior.revision, record: said, written: false };
  return commitRecord(store, commit, null);
}

/**
 * Commits the record of a log that a crash left without one; null when there is no such log. The hash is computed from
 * the stored bytes.
 */
export async function adoptLog(store: ObjectStore, commit: Commit): Promise<Committed | null> {
  const standing = await adoptableLog(store, logKey(commit.address, commit.dt, 1));
  if (standing === null || standing === 'no_log') return null;
  return commitRecord(store, { ...commit, draft: adoptedDraft(commit.draft) }, standing);
}

async function commitRecord(store: ObjectStore, commit: Commit, log: RecordedLog | null): Promise<Committed> {
  const { address } = commit;
  let prior = commit.prior;
  for (let tries = 0; tries < REVISIONS_MAX; tries += 1) {
    const record =
      prior === null ? ordered(commit.draft, 1, null, log) : nextRecord(commit.draft, prior, log);
    const { revision } = record;
    const { key, created } = await putRecord(store, address, record);
    if (created) return { key, revision, record, written: true };
    const standing = await recordAt(store, key, address, revision);
    // A job that is erased while its log is fetched stays erased.
    if (standing !== null && (hasSameFinding(standing, record) || standing.outcome === 'erased'))
      return { key, revision, record: standing, written: false };
    // What cannot be read says nothing: ours comes after it.
    prior = { key, address, revision, record: standing ?? prior?.record ?? null };
  }
  throw new Error(`more than ${REVISIONS_MAX} records of job ${address.jobId}`);
}

/** Stores a record under the key of its revision. */
async function putRecord(
  store: ObjectStore,
  address: JobAddress,
  record: JobRecord,
): Promise<{ readonly key: string; readonly created: boolean }> {
  const key = recordKey(address, record.revision);
  const bytes = serializeRecord(record);
  const parsed = parseRecord(bytes);
  // Nothing is written for years that its own readers would refuse.
  if (!parsed.ok) throw new Error(`a record of job ${address.jobId} would be unreadable: ${parsed.problem}`);
  const put = await store.putIfAbsent(key, bytesBody(bytes), {
    contentType: 'application/json',
    kind: 'record',
  });
  return { key, created: put.outcome === 'created' };
}

/** An archived record is not followed by an absence, and a same finding is not written twice. */
function hasSameFinding(standing: JobRecord, ours: JobRecord): boolean {
  if (ours.log === null) return standing.log !== null || standing.outcome === ours.outcome;
  return standing.log?.sha256 === ours.log.sha256;
}

/** A later finding stands where the first copy was filed, so it bears that copy's name and attempt. */
function nextRecord(draft: RecordDraft, prior: StandingRecord, log: RecordedLog | null): JobRecord {
  const { owner, repo, runAttempt } = prior.address;
  const place = prior.record ?? { owner, repo, run_attempt: runAttempt };
  const placed = { ...draft, owner: place.owner, repo: place.repo, run_attempt: place.run_attempt };
  return ordered(placed, prior.revision + 1, prior.key, log);
}

/** Members in the contract's order, so that a person finds the outcome first. */
function ordered(
  draft: RecordDraft,
  revision: number,
  supersedes: string | null,
  log: RecordedLog | null,
): JobRecord {
  const { schema, outcome, fetch, absence, recorded_at, archiver, ...identity } = draft;
  return {
    schema,
    outcome,
    revision,
    supersedes,
    ...identity,
    log,
    fetch,
    absence,
    recorded_at,
    archiver,
  };
}

function adoptedDraft(draft: RecordDraft): RecordDraft {
  return { ...draft, outcome: 'archived', absence: null, fetch: { ...draft.fetch, source: 'adopted' } };
}

function recorded(key: string, versionId: string | null, log: ReadyLog): RecordedLog {
  return {
    key,
    version_id: versionId,
    sha256: log.sha256,
    bytes: log.bytes,
    lines: log.lines,
    stored_sha256: log.body.sha256,
    stored_bytes: log.body.bytes,
    encoding: 'gzip',
    points: log.points,
  };
}

/**
 * What a record says of a log that stands in the store, computed from its bytes; `no_log` for what is no gzip, or unpacks to more
 * than any log has: whoever may write to the archive can plant that, and it must not keep the job from its log.
 */
async function adoptableLog(store: ObjectStore, key: string): Promise<RecordedLog | 'no_log' | null> {
  const found = await store.read(key);
  if (found === null) return null;
  const stored = createHash('sha256');
  const served = createHash('sha256');
  let storedBytes = 0;
  let bytes = 0;
  let lines = 0;
  let last: number | undefined;
  async function* counted(): AsyncGenerator<Buffer> {
    for await (const chunk of found?.body ?? []) {
      if (!Buffer.isBuffer(chunk)) throw new Error(`object ${key} was not read as bytes`);
      stored.update(chunk);
      storedBytes += chunk.byteLength;
      yield chunk;
    }
  }
  const gunzip = createGunzip();
  // The error reaches the loop below through the stream itself.
  pipeline(counted(), gunzip, () => undefined);
  try {
    for await (const chunk of gunzip) {
      if (!Buffer.isBuffer(chunk)) throw new Error('zlib gave text for bytes');
      served.update(chunk);
      bytes += chunk.byteLength;
      if (bytes > ADOPTED_BYTES_MAX) return 'no_log';
      for (let at = chunk.indexOf(0x0a); at !== -1; at = chunk.indexOf(0x0a, at + 1)) lines += 1;
      last = chunk[chunk.byteLength - 1] ?? last;
    }
  } catch (error) {
    if (isZlibError(error)) return 'no_log';
    throw error;
  }
  // The empty log is twenty bytes of gzip.
  if (storedBytes === 0) return 'no_log';
  return {
    key,
    version_id: found.head.versionId,
    sha256: served.digest('hex'),
    bytes,
    lines: lines + (last !== undefined && last !== 0x0a ? 1 : 0),
    stored_sha256: stored.digest('hex'),
    stored_bytes: storedBytes,
    encoding: 'gzip',
    points: null,
  };
}

function isZlibError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('Z_');
}
