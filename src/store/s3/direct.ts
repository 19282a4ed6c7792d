import { S3ServiceException } from '@aws-sdk/client-s3';
import type { S3Client } from '@aws-sdk/client-s3';
import { parseXML } from '@aws-sdk/xml-builder';
import { SignatureV4 } from '@smithy/signature-v4';
import { z } from 'zod';
import { gatherBytes } from '../../gather-bytes.ts';

/**
 * The requests that every job sends, without the SDK's commands, which cost ten times as much as what they send (measured).
 * Where the bucket is and how it is signed for is taken from a request of the SDK's own, and credentials, signature,
 * connections, proxies and the store's clock are the SDK's too. Errors are what the SDK would throw.
 */
export interface DirectRequests {
  /** Takes over, once the command is sent, how the bucket is reached; `path` is the key's in the command, prefix included. */
  learnFrom(command: CommandWithStack<'deserialize'>, path: string): void;
  /**
   * Whether requests can be sent: not before one was learnt from, and never where something other than a plain signature
   * version 4 is asked for, as by directory buckets and multi-region access points.
   */
  isReady(): boolean;
  /** @throws S3ServiceException for any answer but 2xx, and what the connection fails with. */
  send(request: DirectRequest, signal: AbortSignal): Promise<DirectAnswer>;
}

export interface DirectRequest {
  readonly method: 'GET' | 'PUT';
  /** Below the bucket, prefix included; empty for the bucket itself. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  /** Lower-case names. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

export interface DirectAnswer {
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}

/** A page of a thousand keys of a kilobyte each, escaped, stays under this. */
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;
/** From this on the SDK corrects its clock by the store's. */
const CLOCK_SKEW_MS_MIN = 4 * 60_000;
/** Of an empty body. */
const EMPTY_SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
const PLAIN_SIGNATURE = /^AWS4-HMAC-SHA256 Credential=[^,]*\/\d{8}\/([^/,]+)\/s3\/aws4_request,/;

/** How the SDK reaches the bucket. */
interface Way {
  readonly protocol: string;
  readonly hostname: string;
  readonly port: number | undefined;
  /** Ends in `/`. */
  readonly basePath: string;
  readonly host: string;
  readonly userAgent: string;
  readonly signer: SignatureV4;
}

/** Opens direct requests beside a client, of which `learnFrom` takes what it needs. */
export function openDirectRequests(client: S3Client): DirectRequests {
  let way: Way | null = null;
  return {
    learnFrom(command, path) {
      if (way === null) watch(command, (request) => (way = wayOf(client, request, path)));
    },
    isReady: () => way !== null,
    async send(request, signal) {
      if (way === null) throw new Error('the way to the bucket is not known yet');
      return send(client, way, request, signal);
    },
  };
}

/** What is needed of a command to change its request before it is sent, or to see what was sent. */
export interface CommandWithStack<Step extends 'build' | 'deserialize'> {
  readonly middlewareStack: {
    add(
      middleware: <Args extends object, Out>(next: (args: Args) => Out) => (args: Args) => Out,
      options: { step: Step; name: string },
    ): void;
  };
}

function watch(command: CommandWithStack<'deserialize'>, see: (request: unknown) => void): void {
  command.middlewareStack.add(
    (next) => (args) => {
      if ('request' in args) see(args.request);
      return next(args);
    },
    { step: 'deserialize', name: 'everlogDirect' },
  );
}

const sentRequest = z.object({
  protocol: z.string(),
  hostname: z.string(),
  port: z.number().optional(),
  path: z.string(),
  headers: z.record(z.string(), z.string()),
});

function wayOf(client: S3Client, request: unknown, path: string): Way | null {
  const seen = sentRequest.safeParse(request);
  if (!seen.success) return null;
  const { protocol, hostname, port, path: whole, headers } = seen.data;
  const region = PLAIN_SIGNATURE.exec(headers['authorization'] ?? '')?.[1];
  const escaped = escapePath(path);
  if (region === undefined || !whole.endsWith(`/${escaped}`)) return null;
  const { credentials, sha256 } = client.config;
  return {
    protocol,
    hostname,
    port,
    basePath: whole.slice(0, whole.length - escaped.length),
    host: headers['host'] ?? hostname,
    userAgent: headers['user-agent'] ?? '',
    // S3 wants paths as they are sent.
    signer: new SignatureV4({ credentials, region, service: 's3', sha256, uriEscapePath: false }),
  };
}

async function send(
  client: S3Client,
  way: Way,
  request: DirectRequest,
  signal: AbortSignal,
): Promise<DirectAnswer> {
  const { protocol, hostname, basePath, host, userAgent } = way;
  const { body } = request;
  const unsigned = {
    method: request.method,
    protocol,
    hostname,
    ...(way.port === undefined ? {} : { port: way.port }),
    path: basePath + escapePath(request.path),
    query: { ...request.query },
    headers: {
      host,
      'user-agent': userAgent,
      'x-amz-content-sha256': EMPTY_SHA256,
      ...(body === undefined ? {} : { 'content-length': String(body.byteLength) }),
      ...request.headers,
    },
    ...(body === undefined ? {} : { body }),
  };
  const signingDate = new Date(Date.now() + client.config.systemClockOffset);
  const signed = await way.signer.sign(unsigned, { signingDate });
  const { response } = await client.config.requestHandler.handle(signed, { abortSignal: signal });
  const tooLong = (): Error => new Error(`an answer over ${ANSWER_BYTES_MAX} bytes`);
  const text = (await gatherBytes(response.body, ANSWER_BYTES_MAX, tooLong)).toString('utf8');
  const headers: Readonly<Record<string, string>> = response.headers;
  followClock(client, headers['date']);
  if (response.statusCode < 200 || response.statusCode > 299) {
    throw refusalError(response.statusCode, headers, text);
  }
  return { headers, text };
}

/** As the SDK escapes keys: all but what RFC 3986 leaves as it is. */
function escapePath(path: string): string {
  return path
    .split('/')
    .map((segment) =>
      encodeURIComponent(segment).replace(
        /[!'()*]/g,
        (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
      ),
    )
    .join('/');
}

function followClock(client: S3Client, date: string | undefined): void {
  const offsetMs = Date.parse(date ?? '') - Date.now();
  if (Math.abs(offsetMs - client.config.systemClockOffset) >= CLOCK_SKEW_MS_MIN) {
    client.config.systemClockOffset = offsetMs;
  }
}

const refusalSchema = z.object({
  Error: z.object({
    Code: z.string().optional(),
    Message: z.string().optional(),
    RequestId: z.string().optional(),
  }),
});

function refusalError(
  status: number,
  headers: Readonly<Record<string, string>>,
  text: string,
): S3ServiceException {
  const { Code, Message, RequestId } = wordsOf(text);
  const name = Code ?? (status === 404 ? 'NotFound' : 'Unknown');
  const requestId = headers['x-amz-request-id'] ?? RequestId;
  return new S3ServiceException({
    name,
    message: Message ?? name,
    $fault: status < 500 ? 'client' : 'server',
    $metadata: { httpStatusCode: status, ...(requestId === undefined ? {} : { requestId }) },
  });
}

/** A proxy or a broken store may answer anything: then the status is all there is. */
function wordsOf(text: string): z.infer<typeof refusalSchema>['Error'] {
  try {
    const parsed = refusalSchema.safeParse(parseXML(text));
    return parsed.success ? parsed.data.Error : {};
  } catch {
    return {};
  }
}
