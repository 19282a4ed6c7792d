import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import {
  CHECKSUM_ALGORITHMS,
  checksumHeaders,
  receiveBody,
  receiveDocument,
  type Checksums,
} from './body.ts';
import type { Bucket, Upload } from './bucket.ts';
import {
  claimWrite,
  newEtag,
  rememberedHeaders,
  requestedLock,
  writtenHeaders,
  type ServerState,
} from './objects.ts';
import {
  document,
  newId,
  S3Error,
  textElement,
  xmlElements,
  xmlResponse,
  xmlText,
  type S3Request,
  type S3Response,
} from './protocol.ts';
import { joinedBytes } from './stored-bytes.ts';

const PART_NUMBER_MAX = 10_000;
/** S3's own limit; only the last part may be smaller. */
const PART_MIN_BYTES = 5 * 1024 * 1024;

export function createUpload(state: ServerState, bucket: Bucket, request: S3Request): S3Response {
  if (request.headers['x-amz-checksum-type'] === 'FULL_OBJECT') {
    throw new S3Error('NotImplemented', 'Full-object checksums of a multipart upload');
  }
  const checksumAlgorithm = request.headers['x-amz-checksum-algorithm']?.toLowerCase();
  const isKnown = CHECKSUM_ALGORITHMS.some((algorithm) => algorithm === checksumAlgorithm);
  if (checksumAlgorithm !== undefined && !isKnown) {
    throw new S3Error('NotImplemented', `Checksums by ${checksumAlgorithm}`);
  }
  const upload: Upload = {
    id: newId(),
    key: request.key,
    startedMs: state.nowMs(),
    headers: rememberedHeaders(request),
    lock: requestedLock(state, bucket, request),
    checksumAlgorithm,
    parts: new Map(),
  };
  bucket.uploads.set(upload.id, upload);
  return xmlResponse(
    document(
      'InitiateMultipartUploadResult',
      textElement('Bucket', bucket.name),
      textElement('Key', request.key),
      textElement('UploadId', upload.id),
    ),
  );
}

export async function uploadPart(
  state: ServerState,
  bucket: Bucket,
  request: S3Request,
): Promise<S3Response> {
  const upload = openUpload(bucket, request);
  const number = Number(request.query.get('partNumber'));
  if (!Number.isInteger(number) || number < 1 || number > PART_NUMBER_MAX) {
    throw new S3Error('InvalidArgument', `Part number must be an integer between 1 and ${PART_NUMBER_MAX}`);
  }
  const body = await receiveBody(request, state.bytes);
  // The upload may have been completed or aborted while the part travelled.
  if (bucket.uploads.get(upload.id) !== upload) {
    await body.bytes.discard();
    throw noSuchUpload();
  }
  const replaced = upload.parts.get(number);
  upload.parts.set(number, body);
  await replaced?.bytes.discard();
  return { status: 200, headers: { etag: `"${body.md5Hex}"`, ...checksumHeaders(body.checksums) } };
}

export async function completeUpload(
  state: ServerState,
  bucket: Bucket,
  request: S3Request,
): Promise<S3Response> {
  const upload = openUpload(bucket, request);
  const claim = claimWrite(state, bucket, request);
  const xml = await receiveDocument(request, state.bytes);
  const parts = namedParts(upload, xml);
  const named = new Set(parts);
  const checksums = compositeChecksums(upload, parts);
  const digests = parts.map((part) => Buffer.from(part.md5Hex, 'hex'));
  const md5OfMd5s = createHash('md5').update(Buffer.concat(digests)).digest('hex');
  const kms = upload.headers['x-amz-server-side-encryption'] === 'aws:kms';
  const content = {
    bytes: joinedBytes(parts.map((part) => part.bytes)),
    etag: `${kms ? newEtag() : md5OfMd5s}-${parts.length}`,
    sha256Hex: undefined,
    checksums,
    headers: upload.headers,
  };
  bucket.uploads.delete(upload.id);
  const version = await claim.commit(content, upload.lock);
  for (const part of upload.parts.values()) {
    if (!named.has(part)) await part.bytes.discard();
  }
  const { etag = '', ...headers } = writtenHeaders(bucket, version);
  return xmlResponse(
    document(
      'CompleteMultipartUploadResult',
      textElement('Bucket', bucket.name),
      textElement('Key', upload.key),
      textElement('ETag', etag),
      textElement('ChecksumCRC32', checksums.crc32),
      textElement('ChecksumSHA256', checksums.sha256),
    ),
    headers,
  );
}

export async function abortUpload(bucket: Bucket, request: S3Request): Promise<S3Response> {
  const upload = openUpload(bucket, request);
  bucket.uploads.delete(upload.id);
  for (const part of upload.parts.values()) await part.bytes.discard();
  return { status: 204 };
}

function openUpload(bucket: Bucket, request: S3Request): Upload {
  const upload = bucket.uploads.get(request.query.get('uploadId') ?? '');
  if (upload?.key !== request.key) throw noSuchUpload();
  return upload;
}

function noSuchUpload(): S3Error {
  return new S3Error('NoSuchUpload', 'The specified multipart upload does not exist.');
}

type Part = Upload['parts'] extends Map<number, infer P> ? P : never;

function namedParts(upload: Upload, xml: string): Part[] {
  const named = xmlElements(xml, 'Part').map((part) => ({
    number: Number(xmlText(part, 'PartNumber')),
    etag: xmlText(part, 'ETag')?.replaceAll('"', ''),
    crc32: xmlText(part, 'ChecksumCRC32'),
    sha256: xmlText(part, 'ChecksumSHA256'),
  }));
  if (named.length === 0) throw new S3Error('MalformedXML', 'You must specify at least one part');
  if (named.some(({ number }, index) => number <= (named[index - 1]?.number ?? 0))) {
    throw new S3Error('InvalidPartOrder', 'The list of parts was not in ascending order.');
  }
  return named.map((name, index) => {
    const part = upload.parts.get(name.number);
    const isRight =
      part?.md5Hex === name.etag &&
      CHECKSUM_ALGORITHMS.every(
        (algorithm) => name[algorithm] === undefined || name[algorithm] === part?.checksums[algorithm],
      );
    if (part === undefined || !isRight) {
      throw new S3Error('InvalidPart', 'One or more of the specified parts could not be found.');
    }
    if (part.bytes.size < PART_MIN_BYTES && index < named.length - 1) {
      throw new S3Error('EntityTooSmall', 'Your proposed upload is smaller than the minimum allowed size');
    }
    return part;
  });
}

/** S3's checksum of checksums, for an upload that was created with an algorithm. */
function compositeChecksums(upload: Upload, parts: readonly Part[]): Checksums {
  const algorithm = CHECKSUM_ALGORITHMS.find((known) => known === upload.checksumAlgorithm);
  if (algorithm === undefined) return {};
  const digests = parts.map((part) => {
    const digest = part.checksums[algorithm];
    if (digest === undefined) throw new S3Error('InvalidRequest', `A part came without its ${algorithm}`);
    return Buffer.from(digest, 'base64');
  });
  const all = Buffer.concat(digests);
  return { [algorithm]: `${digestOf(algorithm, all).toString('base64')}-${parts.length}` };
}

function digestOf(algorithm: (typeof CHECKSUM_ALGORITHMS)[number], bytes: Buffer): Buffer {
  if (algorithm === 'sha256') return createHash('sha256').update(bytes).digest();
  const crc = Buffer.alloc(4);
  crc.writeUInt32BE(crc32(bytes));
  return crc;
}
