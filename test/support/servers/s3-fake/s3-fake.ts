import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { finished, pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { BucketOptions, S3Server } from '../s3-connection.ts';
import type { Checksums } from './body.ts';
import type { Bucket, ObjectVersion, Retention } from './bucket.ts';
import { Faults, type FaultEffect } from './faults.ts';
import { document, parseRequest, S3Error, textElement, type S3Request, type S3Response } from './protocol.ts';
import { makeBucket, route, type RoutedState } from './routes.ts';
import { verifySignature, type Credentials } from './signature.ts';
import { BytesStore } from './stored-bytes.ts';

/** Longer than a client keeps an idle connection, so that the server is not the one to close it under a request. */
const KEEP_ALIVE_MS = 120_000;

export interface S3FakeOptions {
  /** Default true. False acts like a store that ignores `If-None-Match` on writes and answers 200. */
  honourCreateOnly?: boolean;
  /** Keeps sizes and hashes only; a GET of an object then answers 501. For benchmarks. */
  dropBodies?: boolean;
  /** The clock by which locks run out and objects are dated; signatures are checked by the real one. */
  nowMs?: () => number;
  /** For `probability` in fault rules. Default `Math.random`. */
  random?: () => number;
  /** Whose signatures are good besides the server's own user's. */
  users?: readonly Credentials[];
  /** Told of every request; it takes effect when `serve` is called, and is answered with what is returned. */
  around?: (request: S3Request, serve: () => Promise<S3Response>) => Promise<S3Response>;
}

/** One version as a test may look at it. */
export interface InspectedVersion {
  key: string;
  versionId: string;
  isLatest: boolean;
  isDeleteMarker: boolean;
  modifiedMs: number;
  size: number;
  etag: string | undefined;
  /** Hexadecimal; undefined for delete markers. */
  sha256: string | undefined;
  /** Base64, those the writer sent. */
  checksums: Checksums;
  contentType: string | undefined;
  /** User metadata without the `x-amz-meta-` before each name. */
  metadata: Readonly<Record<string, string>>;
  /** Every remembered header, `x-amz-storage-class` and encryption among them. */
  headers: Readonly<Record<string, string>>;
  retention: Retention | undefined;
  legalHold: boolean;
}

export interface S3Fake extends S3Server {
  readonly kind: 'fake';
  readonly faults: Pick<Faults, 'add' | 'clear'>;
  /** While on, every connection is reset, open ones at once. */
  outage(on: boolean): void;
  /** Requests that came in so far, by method, failed ones too. */
  readonly requests: Readonly<Record<string, number>>;
  /** Every version in a bucket, by key, newest first. */
  objects(bucket: string): InspectedVersion[];
  /** The bytes of the current object, or of the version named. */
  read(bucket: string, key: string, versionId?: string): Promise<Buffer>;
}

/**
 * Starts an S3 server over HTTP in this process: path style, conditional writes, checksums, versions, Object Lock,
 * verified signatures, with faults on demand. It answers 501 to what it does not model.
 */
export async function startS3Fake(options: S3FakeOptions = {}): Promise<S3Fake> {
  const fake = new FakeServer(options);
  await fake.listen();
  return fake.handle();
}

class FakeServer {
  readonly #state: RoutedState;
  readonly #faults: Faults;
  readonly #around: NonNullable<S3FakeOptions['around']>;
  readonly #requests: Record<string, number> = {};
  readonly #credentials: Credentials = {
    accessKeyId: 'FAKEACCESSKEY',
    secretAccessKey: randomBytes(20).toString('hex'),
  };
  readonly #users: readonly Credentials[];
  readonly #server: Server;
  #down = false;

  constructor(options: S3FakeOptions) {
    this.#faults = new Faults(options.random ?? Math.random);
    this.#around = options.around ?? ((_request, serve) => serve());
    this.#users = [this.#credentials, ...(options.users ?? [])];
    this.#state = {
      buckets: new Map(),
      bytes: new BytesStore(options.dropBodies ?? false),
      nowMs: options.nowMs ?? Date.now,
      honourCreateOnly: options.honourCreateOnly ?? true,
    };
    this.#server = createServer((message, response) => {
      this.#serve(message, response).catch(() => {
        // The connection broke under the request or the answer: there is no one left to tell.
        message.destroy();
      });
    });
    this.#server.keepAliveTimeout = KEEP_ALIVE_MS;
    this.#server.on('connection', (socket) => {
      if (this.#down) socket.resetAndDestroy();
    });
  }

  async listen(): Promise<void> {
    await new Promise<void>((listening, failed) => {
      this.#server.once('error', failed);
      this.#server.listen(0, '127.0.0.1', listening);
    });
  }

  handle(): S3Fake {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('the S3 server has no port');
    return {
      ...this.#credentials,
      endpoint: `http://127.0.0.1:${address.port}`,
      region: 'us-east-1',
      kind: 'fake',
      honoursCreateOnly: this.#state.honourCreateOnly,
      createBucket: async (name, bucketOptions) => this.#createBucket(name, bucketOptions),
      stop: async () => this.#stop(),
      faults: this.#faults,
      outage: (on) => {
        this.#down = on;
        if (on) this.#server.closeAllConnections();
      },
      requests: this.#requests,
      objects: (bucket) => {
        const found = this.#bucket(bucket);
        return found.keys.flatMap((key) =>
          found
            .versionsOf(key)
            .toReversed()
            .map((version) => inspect(found, version)),
        );
      },
      read: async (bucket, key, versionId) => this.#read(bucket, key, versionId),
    };
  }

  async #createBucket(name: string, options: BucketOptions = {}): Promise<void> {
    const bucket = makeBucket(this.#state, name, options.objectLock ?? false);
    if (options.versioning === true) bucket.versioning = 'Enabled';
  }

  async #stop(): Promise<void> {
    const closed = new Promise((done) => this.#server.close(done));
    this.#server.closeAllConnections();
    await closed;
    this.#state.bytes.close();
  }

  #bucket(name: string): Bucket {
    const bucket = this.#state.buckets.get(name);
    if (bucket === undefined) throw new Error(`there is no bucket ${name}`);
    return bucket;
  }

  async #read(bucket: string, key: string, versionId: string | undefined): Promise<Buffer> {
    const found = this.#bucket(bucket);
    const version = versionId === undefined ? found.current(key) : found.version(key, versionId);
    if (version?.content === undefined) throw new Error(`there is no object ${key} in ${bucket}`);
    const { bytes } = version.content;
    const chunks: Buffer[] = [];
    for await (const piece of bytes.read(0, bytes.size)) {
      const chunk: unknown = piece;
      if (Buffer.isBuffer(chunk)) chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  }

  async #serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const method = message.method ?? '';
    this.#requests[method] = (this.#requests[method] ?? 0) + 1;
    let request: S3Request;
    try {
      request = parseRequest(message);
    } catch (error) {
      await send(message, response, errorResponse(error, message.url ?? ''));
      return;
    }
    const fault = this.#faults.take(request);
    if (fault !== undefined && (await strike(fault, request, response))) return;
    const answer = await this.#around(request, () => this.#answer(request));
    if (fault?.kind === 'cut_after_store') message.socket.resetAndDestroy();
    else await send(message, response, answer);
  }

  async #answer(request: S3Request): Promise<S3Response> {
    try {
      verifySignature(request, this.#users, Date.now());
      return await route(this.#state, request);
    } catch (error) {
      return errorResponse(error, request.rawPath);
    }
  }
}

/** Makes a request suffer what comes before it takes effect. Answers whether that was the end of it. */
async function strike(fault: FaultEffect, request: S3Request, response: ServerResponse): Promise<boolean> {
  switch (fault.kind) {
    case 'reset':
      request.body.socket.resetAndDestroy();
      return true;
    case 'hang':
      request.body.resume();
      return true;
    case 'status': {
      const code = fault.code ?? (fault.status === 503 ? 'SlowDown' : 'InternalError');
      const message = fault.message ?? 'A failure that a test asked for';
      const body = errorDocument(code, message, request.rawPath);
      await send(request.body, response, { status: fault.status, headers: XML_TYPE, body });
      return true;
    }
    case 'delay':
      await delay(fault.ms);
      return false;
    case 'cut_after_store':
      return false;
  }
}

const XML_TYPE = { 'content-type': 'application/xml' };

function errorResponse(error: unknown, resource: string): S3Response {
  if (error instanceof S3Error) {
    const body = errorDocument(error.code, error.message, resource);
    return { status: error.status, headers: { ...XML_TYPE, ...error.headers }, body };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { status: 500, headers: XML_TYPE, body: errorDocument('InternalError', message, resource) };
}

function errorDocument(code: string, message: string, resource: string): string {
  const parts = { Code: code, Message: message, Resource: resource };
  return document('Error', ...Object.entries(parts).map(([name, text]) => textElement(name, text)));
}

/** Sends an answer once the request's body is read: an earlier one would break the connection under the client. */
async function send(message: IncomingMessage, response: ServerResponse, answer: S3Response): Promise<void> {
  if (!message.readableEnded) {
    message.resume();
    await finished(message, { writable: false });
  }
  const { status, headers = {}, body = '' } = answer;
  const requestId = randomBytes(8).toString('hex').toUpperCase();
  const length = typeof body === 'string' ? { 'content-length': String(Buffer.byteLength(body)) } : {};
  const hasBody = message.method !== 'HEAD' && status !== 204 && status !== 304;
  response.writeHead(status, {
    'x-amz-request-id': requestId,
    ...(status === 204 || status === 304 ? {} : length),
    ...headers,
  });
  if (!hasBody) response.end();
  else if (typeof body === 'string') response.end(body);
  else await pipeline(body, response);
}

function inspect(bucket: Bucket, version: ObjectVersion): InspectedVersion {
  const { content } = version;
  const headers = content?.headers ?? {};
  const metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith('x-amz-meta-')) metadata[name.slice('x-amz-meta-'.length)] = value;
  }
  return {
    key: version.key,
    versionId: version.id,
    isLatest: bucket.newest(version.key) === version,
    isDeleteMarker: content === undefined,
    modifiedMs: version.modifiedMs,
    size: content?.bytes.size ?? 0,
    etag: content?.etag,
    sha256: content?.sha256Hex,
    checksums: content?.checksums ?? {},
    contentType: headers['content-type'],
    metadata,
    headers,
    retention: version.retention,
    legalHold: version.legalHold,
  };
}
