import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { S3Error, type S3Request } from './protocol.ts';
import type { BytesStore, StoredBytes } from './stored-bytes.ts';

/** The small XML documents that settings and deletions send; S3's own limit for deletions is of this size. */
const DOCUMENT_MAX_BYTES = 2 * 1024 * 1024;
/** A chunk's size line and a trailer line are short; anything longer is not aws-chunked. */
const LINE_MAX_BYTES = 1024;

const CHECKSUM_ALGORITHMS = ['crc32', 'sha256'] as const;
type ChecksumAlgorithm = (typeof CHECKSUM_ALGORITHMS)[number];
/** Base64, by algorithm. */
export type Checksums = Partial<Record<ChecksumAlgorithm, string>>;

export interface ReceivedBody {
  bytes: StoredBytes;
  md5Hex: string;
  sha256Hex: string;
  /** Those the client sent, all of which were right. */
  checksums: Checksums;
}

/**
 * Reads a request's body to its end, plain or aws-chunked, keeps it, and checks every digest that came with it.
 * Throws the S3Error of the first that is wrong, and then keeps nothing.
 */
export async function receiveBody(request: S3Request, store: BytesStore): Promise<ReceivedBody> {
  const expectedBytes = declaredLength(request);
  const trailers: Record<string, string> = {};
  const source = isChunked(request) ? decodeChunks(request.body, trailers) : request.body;
  const hashes = {
    md5: createHash('md5'),
    sha256: createHash('sha256'),
    crc32: 0,
  };
  const writer = store.writer();
  let size = 0;
  try {
    for await (const piece of source) {
      const chunk: unknown = piece;
      if (!Buffer.isBuffer(chunk)) throw new Error('a request body is read as bytes');
      size += chunk.length;
      hashes.md5.update(chunk);
      hashes.sha256.update(chunk);
      hashes.crc32 = crc32(chunk, hashes.crc32);
      await writer.write(chunk);
    }
    if (size !== expectedBytes) {
      throw new S3Error('IncompleteBody', `The body has ${size} bytes, not the ${expectedBytes} declared`);
    }
    const crc = Buffer.alloc(4);
    crc.writeUInt32BE(hashes.crc32);
    const actual = {
      md5: hashes.md5.digest(),
      sha256: hashes.sha256.digest(),
      crc32: crc,
    };
    const checksums = checkDigests({ ...request.headers, ...trailers }, actual);
    const bytes = await writer.finish();
    return { bytes, md5Hex: actual.md5.toString('hex'), sha256Hex: actual.sha256.toString('hex'), checksums };
  } catch (error) {
    await writer.abort();
    throw error;
  }
}

/** Reads a small XML body, with the same checks. */
export async function receiveDocument(request: S3Request, store: BytesStore): Promise<string> {
  if (declaredLength(request) > DOCUMENT_MAX_BYTES) throw new S3Error('MalformedXML', 'The XML is too large');
  const { bytes } = await receiveBody(request, store);
  const chunks: Buffer[] = [];
  for await (const piece of bytes.read(0, bytes.size)) {
    const chunk: unknown = piece;
    if (Buffer.isBuffer(chunk)) chunks.push(chunk);
  }
  await bytes.discard();
  return Buffer.concat(chunks).toString('utf8');
}

/** The checksum headers of a set of digests. */
export function checksumHeaders(checksums: Checksums): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const algorithm of CHECKSUM_ALGORITHMS) {
    const value = checksums[algorithm];
    if (value !== undefined) headers[`x-amz-checksum-${algorithm}`] = value;
  }
  return headers;
}

/** Whether the client sent any digest at all, which S3 demands of writes under a lock. */
export function hasDigest(request: S3Request): boolean {
  const named = Object.keys(request.headers).some((name) => /^x-amz-checksum-(?!mode|type|algo)/.test(name));
  return named || 'content-md5' in request.headers || 'x-amz-trailer' in request.headers;
}

/** Whether a header or trailer names a checksum this server can verify. */
export function isKnownChecksum(name: string): boolean {
  return CHECKSUM_ALGORITHMS.some((algorithm) => name === `x-amz-checksum-${algorithm}`);
}

function isChunked(request: S3Request): boolean {
  const kind = request.headers['x-amz-content-sha256'] ?? '';
  if (kind === 'STREAMING-UNSIGNED-PAYLOAD-TRAILER') return true;
  if (kind.startsWith('STREAMING-')) throw new S3Error('NotImplemented', `Bodies of kind ${kind}`);
  return false;
}

function declaredLength(request: S3Request): number {
  const declared = isChunked(request)
    ? request.headers['x-amz-decoded-content-length']
    : (request.headers['content-length'] ?? (hasNoBody(request) ? '0' : undefined));
  if (declared === undefined || !/^\d+$/.test(declared)) {
    throw new S3Error('MissingContentLength', 'You must provide the Content-Length HTTP header');
  }
  return Number(declared);
}

function hasNoBody(request: S3Request): boolean {
  return request.headers['transfer-encoding'] === undefined;
}

function checkDigests(
  headers: Readonly<Record<string, string>>,
  actual: Record<ChecksumAlgorithm | 'md5', Buffer>,
): Checksums {
  const payload = headers['x-amz-content-sha256'] ?? '';
  if (/^[0-9a-f]{64}$/.test(payload) && payload !== actual.sha256.toString('hex')) {
    throw new S3Error('XAmzContentSHA256Mismatch', 'The body does not have the x-amz-content-sha256 signed');
  }
  const md5 = headers['content-md5'];
  if (md5 !== undefined && Buffer.from(md5, 'base64').length !== 16) {
    throw new S3Error('InvalidDigest', 'The Content-MD5 you specified is not valid');
  }
  if (md5 !== undefined && md5 !== actual.md5.toString('base64')) {
    throw new S3Error('BadDigest', 'The Content-MD5 you specified did not match what we received');
  }
  for (const announced of (headers['x-amz-trailer'] ?? '').split(',').filter((name) => name !== '')) {
    if (!isKnownChecksum(announced.trim())) throw new S3Error('NotImplemented', `The trailer ${announced}`);
    if (!(announced.trim() in headers)) throw new S3Error('IncompleteBody', `No trailer ${announced} came`);
  }
  const checksums: Checksums = {};
  for (const algorithm of CHECKSUM_ALGORITHMS) {
    const sent = headers[`x-amz-checksum-${algorithm}`];
    if (sent === undefined) continue;
    if (sent !== actual[algorithm].toString('base64')) {
      throw new S3Error('BadDigest', `The ${algorithm} you specified did not match the calculated checksum`);
    }
    checksums[algorithm] = sent;
  }
  return checksums;
}

/** Undoes aws-chunked with unsigned chunks, and puts the trailers after the last chunk into `trailers`. */
async function* decodeChunks(
  source: AsyncIterable<unknown>,
  trailers: Record<string, string>,
): AsyncGenerator<Buffer> {
  const reader = new LineAndBlockReader(source);
  try {
    for (let size = await reader.chunkSize(); size > 0; size = await reader.chunkSize()) {
      yield* reader.block(size);
      if ((await reader.line()) !== '') throw new S3Error('IncompleteBody', 'A chunk is longer than it says');
    }
    for (let line = await reader.line(); line !== ''; line = await reader.line()) {
      const colon = line.indexOf(':');
      trailers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
    }
    if (await reader.hasMore()) throw new S3Error('IncompleteBody', 'Something follows the trailers');
  } catch (error) {
    await reader.drain();
    throw error;
  }
}

class LineAndBlockReader {
  readonly #source: AsyncIterator<unknown>;
  #buffer: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<unknown>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  async line(): Promise<string> {
    for (;;) {
      const end = this.#buffer.indexOf('\r\n');
      if (end !== -1) {
        const line = this.#buffer.toString('latin1', 0, end);
        this.#buffer = this.#buffer.subarray(end + 2);
        return line;
      }
      if (this.#buffer.length > LINE_MAX_BYTES) throw new S3Error('IncompleteBody', 'A line is too long');
      if (!(await this.#fill())) throw new S3Error('IncompleteBody', 'The body ends too early');
    }
  }

  async *block(size: number): AsyncGenerator<Buffer> {
    let left = size;
    while (left > 0) {
      if (this.#buffer.length === 0 && !(await this.#fill())) {
        throw new S3Error('IncompleteBody', 'The body ends too early');
      }
      const piece = this.#buffer.subarray(0, left);
      this.#buffer = this.#buffer.subarray(piece.length);
      left -= piece.length;
      if (piece.length > 0) yield piece;
    }
  }

  async chunkSize(): Promise<number> {
    const line = await this.line();
    if (!/^[0-9a-fA-F]+$/.test(line)) throw new S3Error('IncompleteBody', 'The body is not aws-chunked');
    return Number.parseInt(line, 16);
  }

  async hasMore(): Promise<boolean> {
    return this.#buffer.length > 0 || this.#fill();
  }

  /** Reads to the end, so that an answer reaches a client that is still sending. */
  async drain(): Promise<void> {
    while ((await this.#source.next()).done !== true);
  }

  async #fill(): Promise<boolean> {
    const next = await this.#source.next();
    if (next.done === true) return false;
    const chunk: unknown = next.value;
    if (!Buffer.isBuffer(chunk)) throw new Error('a request body is read as bytes');
    this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk]);
    return true;
  }
}
