/**
 * Every object key of the archive (CONTRACT §4) is built and parsed here and nowhere else. Keys are relative to the
 * archive's prefix. Owner and repository are lower case; ids are plain decimal; a later finding carries `.r<revision>`.
 */

/** What a job's keys are made of. `runAttempt` is 1 where GitHub sent none. */
export interface JobAddress {
  readonly host: string;
  readonly owner: string;
  readonly repo: string;
  readonly runId: number;
  readonly runAttempt: number;
  readonly jobId: number;
}

/** A key taken apart. `revision` is 1 for the plain name. */
export type ParsedKey =
  | { readonly type: 'record'; readonly address: JobAddress; readonly revision: number }
  | { readonly type: 'log'; readonly address: JobAddress; readonly revision: number; readonly dt: string }
  | { readonly type: 'run'; readonly address: RunAddress; readonly revision: number }
  | { readonly type: 'custody'; readonly dt: string; readonly id: string }
  | { readonly type: 'key' | 'revocation'; readonly keyId: string };

/** What a run attempt's key is made of. */
export type RunAddress = Omit<JobAddress, 'jobId'>;

export const RECORDS_ROOT = 'v1/records/';
export const LOGS_ROOT = 'v1/logs/';
export const RUNS_ROOT = 'v1/runs/';
export const NAMES_ROOT = 'v1/names/';
export const CUSTODY_ROOT = 'v1/custody/';
export const DIGESTS_ROOT = 'ledger/digests/';
export const CHECKPOINTS_ROOT = 'ledger/checkpoints/';
export const SIGNING_KEYS_ROOT = 'ledger/keys/';
/** Sequence numbers are padded, so that keys sort as numbers do. */
const SEQUENCE_DIGITS = 10;

/** What GitHub allows in an owner's or repository's name; also keeps a name from being a path of its own. */
const NAME = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}$/;
const HOST = /^[a-z0-9](?:[a-z0-9.:-]{0,251}[a-z0-9\]])?$|^\[[0-9a-f:.]+\]$/;

/** Whether `name` may stand in a key as owner or repository. */
export function isNameForKeys(name: string): boolean {
  return NAME.test(name);
}

/** Prefix of one repository's records, or of one owner's when `repo` is missing. */
export function recordsPrefix(place: {
  host: string;
  owner?: string;
  repo?: string;
  runId?: number;
}): string {
  return RECORDS_ROOT + placePath(place);
}

/** Prefix of one repository's logs and runs objects under another root. */
export function placePrefix(
  root: string,
  place: { host: string; owner?: string; repo?: string; runId?: number },
): string {
  return root + placePath(place);
}

/** Key of a job's record; revision 1 has the plain name. */
export function recordKey(address: JobAddress, revision: number): string {
  const { runId, runAttempt, jobId } = checked(address);
  return `${RECORDS_ROOT}${repoPath(address)}${runId}/${runAttempt}/${jobId}${revisionSuffix(revision)}.json`;
}

/** Key of a job's log. `dt` is the UTC day of the job's end, `YYYY-MM-DD`, never of the upload. */
export function logKey(address: JobAddress, dt: string, revision: number): string {
  const { runId, runAttempt, jobId } = checked(address);
  const name = `${runId}-${runAttempt}-${jobId}${revisionSuffix(revision)}.log.gz`;
  return `${LOGS_ROOT}${repoPath(address)}dt=${dt}/${name}`;
}

/**
 * Keys that a job's logs may stand under on one day, the plain one first. Who stores a log goes no further, so that who looks
 * for one, or removes them all, need not either.
 */
export const LOG_KEYS_MAX = 100;

/** Key of a run attempt's object. */
export function runKey(address: RunAddress, revision: number): string {
  checked({ ...address, jobId: 1 });
  return `${RUNS_ROOT}${repoPath(address)}${address.runId}/${address.runAttempt}${revisionSuffix(revision)}.json`;
}

/** Key that says which repository id bore a name. */
export function nameToIdKey(host: string, owner: string, repo: string, repositoryId: number): string {
  return `${NAMES_ROOT}${repoPath({ host, owner, repo })}${repositoryId}.json`;
}

/** Prefix of the names a repository id has borne. */
export function idToNamesPrefix(host: string, repositoryId: number): string {
  return `${NAMES_ROOT}host=${host}/id=${repositoryId}/`;
}

/** Key that says that a repository id has borne a name. */
export function idToNameKey(host: string, repositoryId: number, owner: string, repo: string): string {
  return `${idToNamesPrefix(host, repositoryId)}${owner.toLowerCase()}~${repo.toLowerCase()}.json`;
}

/** The name in a key below `idToNamesPrefix`, or null when the key is not of that kind. */
export function parseIdToNameKey(key: string): { owner: string; repo: string } | null {
  const match = /^v1\/names\/host=[^/]+\/id=\d+\/([^/~]+)~([^/~]+)\.json$/.exec(key);
  const [, owner, repo] = match ?? [];
  return owner === undefined || repo === undefined ? null : { owner, repo };
}

/** Key of what somebody did with the evidence. `dt` is the UTC day, `YYYY-MM-DD`. */
export function custodyKey(dt: string, id: string): string {
  return `${CUSTODY_ROOT}dt=${dt}/${id}.json`;
}

/** Folder of a digest, ending in `/`. */
export function digestFolder(sequence: number): string {
  return `${DIGESTS_ROOT}${paddedSequence(sequence)}/`;
}

/** Key of a digest: its PUT is the commit. */
export function digestKey(sequence: number): string {
  return `${digestFolder(sequence)}digest.json`;
}

/** Key of a digest's signature; `sha256` is of `digest.json`. */
export function digestSignatureKey(sequence: number, sha256: string): string {
  return `${digestFolder(sequence)}${sha256}.sig`;
}

/** Key of a digest's RFC 3161 time stamp; `sha256` is of `digest.json`. */
export function digestTimeStampKey(sequence: number, sha256: string): string {
  return `${digestFolder(sequence)}${sha256}.tsr`;
}

/** Key of the note on the tree of the first `sequence` digests. */
export function checkpointKey(sequence: number): string {
  return `${CHECKPOINTS_ROOT}${paddedSequence(sequence)}.note`;
}

/** Key of a signing key's public half. `keyId` is the SHA-256 of its SPKI. */
export function signingKeyKey(keyId: string): string {
  return `${SIGNING_KEYS_ROOT}${keyId}.json`;
}

/** Key of what says that a signing key is not to be believed any more. */
export function revocationKey(keyId: string): string {
  return `${SIGNING_KEYS_ROOT}${keyId}.revoked.json`;
}

/** The sequence in a key below `DIGESTS_ROOT`; null for a key of another kind. */
export function sequenceOfDigestKey(key: string): number | null {
  const [, digits] = /^ledger\/digests\/(\d{10,16})\//.exec(key) ?? [];
  return digits === undefined ? null : Number(digits);
}

function paddedSequence(sequence: number): string {
  if (!Number.isSafeInteger(sequence) || sequence < 1) throw new Error(`not a sequence: ${sequence}`);
  return String(sequence).padStart(SEQUENCE_DIGITS, '0');
}

/** Whether two addresses, both in lower case as keys have them, are of one job in one attempt. */
export function isSameJob(a: JobAddress, b: JobAddress): boolean {
  return (
    a.jobId === b.jobId &&
    a.runId === b.runId &&
    a.runAttempt === b.runAttempt &&
    a.repo === b.repo &&
    a.owner === b.owner &&
    a.host === b.host
  );
}

const RECORD =
  /^v1\/records\/host=([^/]+)\/owner=([^/]+)\/repo=([^/]+)\/(\d+)\/(\d+)\/(\d+)(?:\.r(\d+))?\.json$/;
const LOG =
  /^v1\/logs\/host=([^/]+)\/owner=([^/]+)\/repo=([^/]+)\/dt=(\d{4}-\d{2}-\d{2})\/(\d+)-(\d+)-(\d+)(?:\.r(\d+))?\.log\.gz$/;
const RUN = /^v1\/runs\/host=([^/]+)\/owner=([^/]+)\/repo=([^/]+)\/(\d+)\/(\d+)(?:\.r(\d+))?\.json$/;
const CUSTODY = /^v1\/custody\/dt=(\d{4}-\d{2}-\d{2})\/([^/]+)\.json$/;
const SIGNING_KEY = /^ledger\/keys\/([0-9a-f]{64})(\.revoked)?\.json$/;

/** Takes a key apart, or answers null for a key that Everlog does not write. */
export function parseKey(key: string): ParsedKey | null {
  const record = RECORD.exec(key);
  if (record !== null) {
    const [, host = '', owner = '', repo = '', run, attempt, job, revision] = record;
    return {
      type: 'record',
      address: { host, owner, repo, runId: Number(run), runAttempt: Number(attempt), jobId: Number(job) },
      revision: Number(revision ?? 1),
    };
  }
  const log = LOG.exec(key);
  if (log !== null) {
    const [, host = '', owner = '', repo = '', dt = '', run, attempt, job, revision] = log;
    return {
      type: 'log',
      address: { host, owner, repo, runId: Number(run), runAttempt: Number(attempt), jobId: Number(job) },
      revision: Number(revision ?? 1),
      dt,
    };
  }
  const run = RUN.exec(key);
  if (run !== null) {
    const [, host = '', owner = '', repo = '', runId, attempt, revision] = run;
    const address = { host, owner, repo, runId: Number(runId), runAttempt: Number(attempt) };
    return { type: 'run', address, revision: Number(revision ?? 1) };
  }
  const [, dt, id] = CUSTODY.exec(key) ?? [];
  if (dt !== undefined && id !== undefined) return { type: 'custody', dt, id };
  const [, keyId, revoked] = SIGNING_KEY.exec(key) ?? [];
  if (keyId === undefined) return null;
  return { type: revoked === undefined ? 'key' : 'revocation', keyId };
}

function repoPath(place: { host: string; owner: string; repo: string }): string {
  return `host=${place.host}/owner=${place.owner.toLowerCase()}/repo=${place.repo.toLowerCase()}/`;
}

function placePath(place: { host: string; owner?: string; repo?: string; runId?: number }): string {
  const { host, owner, repo, runId } = place;
  if (owner === undefined) return `host=${host}/`;
  if (repo === undefined) return `host=${host}/owner=${owner.toLowerCase()}/`;
  return repoPath({ host, owner, repo }) + (runId === undefined ? '' : `${runId}/`);
}

function revisionSuffix(revision: number): string {
  return revision === 1 ? '' : `.r${revision}`;
}

/** The edges have already refused such names, so here it is a broken invariant. */
function checked(address: JobAddress): JobAddress {
  if (!HOST.test(address.host)) throw new Error(`host not fit for a key: ${JSON.stringify(address.host)}`);
  if (!isNameForKeys(address.owner) || !isNameForKeys(address.repo)) {
    throw new Error(`repository not fit for a key: ${JSON.stringify(`${address.owner}/${address.repo}`)}`);
  }
  for (const id of [address.runId, address.runAttempt, address.jobId]) {
    if (!Number.isSafeInteger(id) || id < 1) throw new Error(`id not fit for a key: ${id}`);
  }
  return address;
}
