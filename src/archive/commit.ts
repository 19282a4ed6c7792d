import { giveUp } from '../errors.ts';
import { recordAt, type ReadableRecord, type StandingRecord } from './job-records.ts';
import { LOG_KEYS_MAX, logKey, recordKey, type JobAddress } from './keys.ts';
import type { ObjectStore, PutBody } from '../store/object-store.ts';
import { bytesBody } from '../store/put-body.ts';
import { parseRecord, serializeRecord, type JobRecord, type RecordedLog } from './record.ts';
import { readStandingLog } from './standing-log.ts';

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

/** What became of looking for a log that a crash left without a record. */
export type Adoption =
  | { readonly outcome: 'adopted'; readonly committed: Committed }
  /** No whole log of the job stands; `tooLargeKey` is of one that unpacks to more than may be archived. */
  | { readonly outcome: 'nothing'; readonly tooLargeKey: string | null };

/** Keys tried for the next record of a job: more that are taken mean that something else writes there. */
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
  throw tooManyRecords(address);
}

/**
 * Stores a log and commits its record. What stands at the log's key is read first: the same log is not stored twice, and what
 * is none of at most `logBytesMax` bytes is passed over, so that ours goes under the next key.
 * @throws EverlogError `object_corrupt` (give up) where 100 keys are taken by what is no log of this job
 */
export async function commitLog(
  store: ObjectStore,
  commit: Commit,
  log: ReadyLog,
  logBytesMax: number,
): Promise<Committed> {
  let { prior } = commit;
  const said = prior === null ? null : unchanged(prior);
  if (said !== null && (said.record.log?.sha256 === log.sha256 || said.record.outcome === 'erased'))
    return said;
  for (let revision = 1; revision <= LOG_KEYS_MAX; revision += 1) {
    const key = logKey(commit.address, commit.dt, revision);
    const put = await store.putIfAbsent(key, log.body, {
      contentType: 'application/gzip',
      metadata: { sha256: log.sha256, bytes: String(log.bytes) },
      kind: 'log',
    });
    const ours = { ...commit, prior };
    if (put.outcome === 'created') return commitRecord(store, ours, recorded(key, put.versionId, log));
    const standing = await readStandingLog(store, key, logBytesMax);
    if (standing.kind === 'nothing') throw new Error(`the store has and has not ${key}`);
    // Nobody's log stands in its place: ours goes beside it, and verification tells of what no record names.
    if (standing.kind !== 'log') continue;
    if (standing.log.sha256 === log.sha256) {
      const isOurs = standing.log.stored_sha256 === log.body.sha256;
      return commitRecord(store, ours, isOurs ? { ...standing.log, points: log.points } : standing.log);
    }
    if (namesNoLog(prior)) {
      // A log without a record, left by a crash, that GitHub no longer serves in these bytes: it is evidence too.
      const adopted = await commitRecord(store, adopting(ours), standing.log);
      if (adopted.record.outcome === 'erased') return adopted;
      prior = { ...adopted, address: prior?.address ?? commit.address };
    }
  }
  const { jobId } = commit.address;
  throw giveUp(
    'object_corrupt',
    `${LOG_KEYS_MAX} objects from ${logKey(commit.address, commit.dt, 1)} on stand where a log of job ${jobId} belongs: find out who writes there, and take them away`,
  );
}

/** Commits a record that has no log, unless the archive says the same of the job already, or has its log. */
export async function commitAbsence(store: ObjectStore, commit: Commit): Promise<Committed> {
  const { prior, draft } = commit;
  const said = prior === null ? null : unchanged(prior);
  if (said !== null && (said.record.outcome === draft.outcome || said.record.log !== null)) return said;
  return commitRecord(store, commit, null);
}

/**
 * Commits the record of a log that a crash left without one: the first whole log of at most `logBytesMax` bytes among what stands
 * under the job's keys, one after the other. Everything said of it is computed from the stored bytes.
 */
export async function adoptLog(store: ObjectStore, commit: Commit, logBytesMax: number): Promise<Adoption> {
  const said = commit.prior === null ? null : unchanged(commit.prior);
  if (said !== null && said.record.log !== null) return { outcome: 'adopted', committed: said };
  let tooLargeKey: string | null = null;
  for (let revision = 1; revision <= LOG_KEYS_MAX; revision += 1) {
    const key = logKey(commit.address, commit.dt, revision);
    const standing = await readStandingLog(store, key, logBytesMax);
    if (standing.kind === 'nothing') break;
    if (standing.kind === 'log')
      return { outcome: 'adopted', committed: await commitRecord(store, adopting(commit), standing.log) };
    if (standing.kind === 'too_large') tooLargeKey ??= key;
  }
  return { outcome: 'nothing', tooLargeKey };
}

/** What the archive says already; null where no revision can be read. */
function unchanged({ key, revision, record }: StandingRecord): Committed | null {
  return record === null ? null : { key, revision, record, written: false };
}

/** A job has a log without a record only while no record of it names one: none that can be read, or one of an absence. */
function namesNoLog(prior: StandingRecord | null): boolean {
  return prior === null || (prior.record !== null && prior.record.log === null);
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
  throw tooManyRecords(address);
}

function tooManyRecords(address: JobAddress): Error {
  return giveUp(
    'object_corrupt',
    `${REVISIONS_MAX} objects stand where the next record of job ${address.jobId} belongs, beside ${recordKey(address, 1)}: find out who writes there, and take them away`,
  );
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

function adopting(commit: Commit): Commit {
  const { draft } = commit;
  const fetch = { ...draft.fetch, source: 'adopted' };
  return { ...commit, draft: { ...draft, outcome: 'archived', absence: null, fetch } };
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
