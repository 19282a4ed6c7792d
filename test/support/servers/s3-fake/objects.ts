import { checksumHeaders, hasDigest, receiveBody, receiveDocument } from './body.ts';
import {
  hasContent,
  refuseWeakerRetention,
  type Bucket,
  type LockMode,
  type ObjectVersion,
  type Retention,
  type StoredContent,
} from './bucket.ts';
import {
  document,
  newId,
  S3Error,
  textElement,
  xmlResponse,
  xmlText,
  type S3Request,
  type S3Response,
} from './protocol.ts';
import type { BytesStore } from './stored-bytes.ts';

/** S3's own limit on the names and values of user metadata together. */
const USER_METADATA_MAX_BYTES = 2048;
const REMEMBERED_HEADERS = new Set([
  'cache-control',
  'content-disposition',
  'content-language',
  'content-type',
  'expires',
  'x-amz-server-side-encryption',
  'x-amz-server-side-encryption-aws-kms-key-id',
  'x-amz-server-side-encryption-bucket-key-enabled',
  'x-amz-server-side-encryption-context',
  'x-amz-storage-class',
]);

/** What every operation needs beside its request. */
export interface ServerState {
  readonly bytes: BytesStore;
  /** The server's clock, by which locks run out. */
  readonly nowMs: () => number;
  /** Whether `If-None-Match: *` on writes is honoured or silently ignored. */
  readonly honourCreateOnly: boolean;
}

export async function putObject(state: ServerState, bucket: Bucket, request: S3Request): Promise<S3Response> {
  const lock = requestedLock(state, bucket, request);
  const headers = rememberedHeaders(request);
  const claim = claimWrite(state, bucket, request);
  const body = await receiveBody(request, state.bytes);
  const content: StoredContent = {
    bytes: body.bytes,
    // An object under KMS has an ETag that is no hash of its content.
    etag: headers['x-amz-server-side-encryption'] === 'aws:kms' ? newEtag() : body.md5Hex,
    sha256Hex: body.sha256Hex,
    checksums: body.checksums,
    headers,
  };
  const version = await claim.commit(content, lock);
  return { status: 200, headers: { ...writtenHeaders(bucket, version), ...checksumHeaders(body.checksums) } };
}

/** A write that may be conditional: checked when it begins and again at the moment it would take effect. */
function claimWrite(
  state: ServerState,
  bucket: Bucket,
  request: S3Request,
): {
  commit(
    content: StoredContent,
    lock: Pick<ObjectVersion, 'retention' | 'legalHold'>,
  ): Promise<ObjectVersion>;
} {
  const { key } = request;
  const condition = request.headers['if-none-match'];
  if (condition !== undefined && condition !== '*') {
    throw new S3Error('NotImplemented', 'If-None-Match takes only * here');
  }
  if (request.headers['if-match'] !== undefined) throw new S3Error('NotImplemented', 'If-Match on a write');
  const createOnly = condition === '*' && state.honourCreateOnly;
  // A delete marker is no object: S3 lets a create-only write succeed over one.
  if (createOnly && bucket.current(key) !== undefined) {
    throw new S3Error('PreconditionFailed', 'At least one of the pre-conditions you specified did not hold');
  }
  return {
    commit: async (content, lock) => {
      if (createOnly && bucket.current(key) !== undefined) {
        await content.bytes.discard();
        throw new S3Error('ConditionalRequestConflict', 'A conflicting operation took place meanwhile');
      }
      return bucket.add(key, { content, ...lock }, state.nowMs());
    },
  };
}

export function getObject(bucket: Bucket, request: S3Request): S3Response {
  const version = readableVersion(bucket, request);
  const { content } = version;
  refuseUnmetRead(content, request);
  const total = content.bytes.size;
  const range = requestedRange(request.headers['range'], total);
  const [start, end] = range ?? [0, total];
  const wantsChecksums = request.headers['x-amz-checksum-mode'] === 'ENABLED' && range === undefined;
  const headers = {
    ...content.headers,
    ...lockHeaders(version),
    ...(wantsChecksums ? checksumHeaders(content.checksums) : {}),
    ...versionHeader(bucket, version),
    'accept-ranges': 'bytes',
    'content-length': String(end - start),
    etag: `"${content.etag}"`,
    'last-modified': new Date(version.modifiedMs).toUTCString(),
    ...(range === undefined ? {} : { 'content-range': `bytes ${start}-${end - 1}/${total}` }),
  };
  const status = range === undefined ? 200 : 206;
  return request.method === 'HEAD'
    ? { status, headers }
    : { status, headers, body: content.bytes.read(start, end) };
}

export function deleteObject(state: ServerState, bucket: Bucket, request: S3Request): S3Response {
  const removed = removeObject(
    state,
    bucket,
    request.key,
    request.query.get('versionId'),
    mayBypass(request),
  );
  return { status: 204, headers: removed };
}

/** Deletes as S3 does: without a version it only marks; with one it removes that for good. Answers the headers. */
export function removeObject(
  state: ServerState,
  bucket: Bucket,
  key: string,
  versionId: string | undefined,
  mayBypassGovernance: boolean,
): Record<string, string> {
  const nowMs = state.nowMs();
  if (versionId !== undefined) {
    const version = bucket.versionsOf(key).find((candidate) => candidate.id === versionId);
    // A version that is gone already is deleted, as far as S3 is concerned.
    if (version === undefined) return { 'x-amz-version-id': versionId };
    bucket.remove(version, mayBypassGovernance, nowMs);
    const marker = version.content === undefined ? { 'x-amz-delete-marker': 'true' } : {};
    return { 'x-amz-version-id': versionId, ...marker };
  }
  if (bucket.versioning === 'Off') {
    const current = bucket.current(key);
    if (current !== undefined) bucket.remove(current, mayBypassGovernance, nowMs);
    return {};
  }
  const marker = bucket.add(key, { content: undefined, retention: undefined, legalHold: false }, nowMs);
  return { 'x-amz-version-id': marker.id, 'x-amz-delete-marker': 'true' };
}

export async function putRetention(
  state: ServerState,
  bucket: Bucket,
  request: S3Request,
): Promise<S3Response> {
  const version = lockableVersion(bucket, request);
  const xml = await receiveDocument(request, state.bytes);
  const mode = xmlText(xml, 'Mode');
  const until = xmlText(xml, 'RetainUntilDate');
  const next = mode === undefined && until === undefined ? undefined : retention(mode, until, state.nowMs());
  refuseWeakerRetention(version, next, mayBypass(request), state.nowMs());
  version.retention = next;
  return { status: 200 };
}

export function getRetention(bucket: Bucket, request: S3Request): S3Response {
  const { retention: held } = lockableVersion(bucket, request);
  if (held === undefined) throw new S3Error('NoSuchObjectLockConfiguration', 'The object has no retention');
  const until = new Date(held.untilMs).toISOString();
  return xmlResponse(
    document('Retention', textElement('Mode', held.mode), textElement('RetainUntilDate', until)),
  );
}

export async function putLegalHold(
  state: ServerState,
  bucket: Bucket,
  request: S3Request,
): Promise<S3Response> {
  const version = lockableVersion(bucket, request);
  version.legalHold = onOrOff(xmlText(await receiveDocument(request, state.bytes), 'Status'));
  return { status: 200 };
}

export function getLegalHold(bucket: Bucket, request: S3Request): S3Response {
  const { legalHold } = lockableVersion(bucket, request);
  return xmlResponse(document('LegalHold', textElement('Status', legalHold ? 'ON' : 'OFF')));
}

/** The lock a new object gets: what its writer asks for, else the bucket's default. */
function requestedLock(
  state: ServerState,
  bucket: Bucket,
  request: S3Request,
): Pick<ObjectVersion, 'retention' | 'legalHold'> {
  const nowMs = state.nowMs();
  const mode = request.headers['x-amz-object-lock-mode'];
  const until = request.headers['x-amz-object-lock-retain-until-date'];
  const hold = request.headers['x-amz-object-lock-legal-hold'];
  const asksForLock = mode !== undefined || until !== undefined || hold !== undefined;
  if (asksForLock && !bucket.objectLock) {
    throw new S3Error('InvalidRequest', 'Bucket is missing Object Lock Configuration');
  }
  const asked = mode === undefined && until === undefined ? undefined : retention(mode, until, nowMs);
  const given = asked ?? bucket.retentionFromDefault(nowMs);
  const lock = { retention: given, legalHold: hold === undefined ? false : onOrOff(hold) };
  const locked = lock.retention !== undefined || lock.legalHold;
  if (locked && request.method === 'PUT' && !hasDigest(request)) {
    throw new S3Error(
      'InvalidRequest',
      'Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters',
    );
  }
  return lock;
}

/** The headers S3 gives back with an object later. */
function rememberedHeaders(request: S3Request): Record<string, string> {
  const kept: Record<string, string> = { 'content-type': 'binary/octet-stream' };
  let metadataBytes = 0;
  for (const [name, value] of Object.entries(request.headers)) {
    if (name.startsWith('x-amz-meta-')) {
      metadataBytes += Buffer.byteLength(name.slice('x-amz-meta-'.length)) + Buffer.byteLength(value);
      kept[name] = value;
    } else if (REMEMBERED_HEADERS.has(name)) {
      kept[name] = value;
    } else if (name === 'content-encoding') {
      // aws-chunked is how the body travelled, not how it is encoded.
      const codings = value.split(',').map((coding) => coding.trim());
      const stored = codings.filter((coding) => coding !== 'aws-chunked').join(',');
      if (stored !== '') kept[name] = stored;
    }
  }
  if (metadataBytes > USER_METADATA_MAX_BYTES) {
    throw new S3Error('MetadataTooLarge', 'Your metadata headers exceed the maximum allowed metadata size');
  }
  // S3 leaves the class out of an answer when it is the usual one.
  if (kept['x-amz-storage-class'] === 'STANDARD') delete kept['x-amz-storage-class'];
  return kept;
}

/** What a successful write answers about the version it made. */
function writtenHeaders(bucket: Bucket, version: ObjectVersion): Record<string, string> {
  const { headers = {}, etag } = version.content ?? {};
  const encryption = Object.entries(headers).filter(([name]) => name.startsWith('x-amz-server-side-'));
  return {
    ...Object.fromEntries(encryption),
    ...versionHeader(bucket, version),
    ...(etag === undefined ? {} : { etag: `"${etag}"` }),
  };
}

/** An ETag that is no hash of the content. */
function newEtag(): string {
  return Buffer.from(newId()).toString('hex').slice(0, 32);
}

function versionHeader(bucket: Bucket, version: ObjectVersion): Record<string, string> {
  return bucket.versioning === 'Off' ? {} : { 'x-amz-version-id': version.id };
}

function lockHeaders(version: ObjectVersion): Record<string, string> {
  const { retention: held, legalHold } = version;
  return {
    ...(held === undefined
      ? {}
      : {
          'x-amz-object-lock-mode': held.mode,
          'x-amz-object-lock-retain-until-date': new Date(held.untilMs).toISOString(),
        }),
    ...(legalHold ? { 'x-amz-object-lock-legal-hold': 'ON' } : {}),
  };
}

export function mayBypass(request: S3Request): boolean {
  return request.headers['x-amz-bypass-governance-retention'] === 'true';
}

function readableVersion(bucket: Bucket, request: S3Request): ObjectVersion & { content: StoredContent } {
  const id = request.query.get('versionId');
  const version = id === undefined ? bucket.newest(request.key) : bucket.version(request.key, id);
  if (version === undefined) throw new S3Error('NoSuchKey', 'The specified key does not exist.');
  if (hasContent(version)) return version;
  const headers = { 'x-amz-delete-marker': 'true', ...versionHeader(bucket, version) };
  if (id === undefined) throw new S3Error('NoSuchKey', 'The specified key does not exist.', headers);
  throw new S3Error('MethodNotAllowed', 'The specified method is not allowed here.', headers);
}

function lockableVersion(bucket: Bucket, request: S3Request): ObjectVersion {
  if (!bucket.objectLock) throw new S3Error('InvalidRequest', 'Bucket is missing Object Lock Configuration');
  return readableVersion(bucket, request);
}

function refuseUnmetRead(content: StoredContent, request: S3Request): void {
  const etag = `"${content.etag}"`;
  const match = request.headers['if-match'];
  if (match !== undefined && match !== '*' && match !== etag) {
    throw new S3Error('PreconditionFailed', 'At least one of the pre-conditions you specified did not hold');
  }
  const noneMatch = request.headers['if-none-match'];
  if (noneMatch === '*' || noneMatch === etag) throw new S3Error('NotModified', 'Not modified', { etag });
}

/** One range as [start, end), or undefined for the whole. Several ranges give the whole, as S3 does. */
function requestedRange(header: string | undefined, total: number): [start: number, end: number] | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
  if (match === null) return undefined;
  const [, first = '', last = ''] = match;
  if (first === '' && last === '') return undefined;
  const start = first === '' ? Math.max(total - Number(last), 0) : Number(first);
  const end = first === '' || last === '' ? total : Math.min(Number(last) + 1, total);
  if (start >= end) {
    throw new S3Error('InvalidRange', 'The requested range is not satisfiable', {
      'content-range': `bytes */${total}`,
    });
  }
  return [start, end];
}

function retention(mode: string | undefined, until: string | undefined, nowMs: number): Retention {
  const untilMs = Date.parse(until ?? '');
  if (!isLockMode(mode) || Number.isNaN(untilMs)) {
    throw new S3Error('InvalidArgument', 'A retention needs a mode and a date to retain until');
  }
  if (untilMs <= nowMs) throw new S3Error('InvalidArgument', 'The retain until date must be in the future!');
  return { mode, untilMs };
}

export function isLockMode(mode: string | undefined): mode is LockMode {
  return mode === 'GOVERNANCE' || mode === 'COMPLIANCE';
}

function onOrOff(status: string | undefined): boolean {
  if (status !== 'ON' && status !== 'OFF') throw new S3Error('MalformedXML', 'A legal hold is ON or OFF');
  return status === 'ON';
}
