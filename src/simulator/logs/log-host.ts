import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { faultAnswer, sendAnswer, waitFor } from '../api/answer.ts';
import type { Answer } from '../api/answer.ts';
import type { Job } from '../facts.ts';
import type { Hub } from '../hub.ts';
import type { LogSource } from './log-source.ts';

/** Up to here a runner uploads one block, which the store hashes; longer logs grow as append blobs without MD5. */
const BLOCK_BLOB_BYTES = 2_097_152;
/** The store's clock may differ from ours by this much: links are valid a little before they are made. */
const VALID_BEFORE_MS = 300_000;

const BLOB_PATH =
  /^\/actions-results\/([0-9a-f-]+)\/(workflow-job-run-[0-9a-f-]+)\/logs\/job\/job-logs\.txt$/;
const SAME_ORIGIN_PATH =
  /^\/_services\/pipelines\/([0-9a-f-]+)\/_apis\/pipelines\/1\/runs\/\d+\/signedlogcontent\/(\d+)$/;

/** Makes and checks the signed links of one simulated log host. */
export class LinkSigner {
  readonly #secret = randomBytes(32);

  #signature(path: string, start: string, end: string): string {
    return createHmac('sha256', this.#secret).update(`${path}\n${start}\n${end}`).digest('base64');
  }

  query(path: string, nowMs: number, lifetimeMs: number): string {
    const start = new Date(nowMs - VALID_BEFORE_MS).toISOString();
    const end = new Date(nowMs + lifetimeMs).toISOString();
    const sig = this.#signature(path, start, end);
    const fields = {
      rsct: 'text/plain',
      se: end,
      sig,
      ske: end,
      sp: 'r',
      spr: 'https',
      sr: 'b',
      st: start,
      sv: '2025-11-05',
    };
    return new URLSearchParams(fields).toString();
  }

  isValid(path: string, query: URLSearchParams, nowMs: number): boolean {
    const [start, end] = [query.get('st') ?? '', query.get('se') ?? ''];
    const expected = Buffer.from(this.#signature(path, start, end));
    const given = Buffer.from(query.get('sig') ?? '');
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return false;
    return Date.parse(start) <= nowMs && nowMs < Date.parse(end);
  }
}

/** The path of a job's log on the log host, or on the API's own origin as GitHub Enterprise Server has it. */
export function logPath(job: Job, sameOrigin: boolean): string {
  if (!sameOrigin) return `/actions-results/${job.blobPath}/logs/job/job-logs.txt`;
  const run = job.blobPath.split('/')[0] ?? '';
  return `/_services/pipelines/${run}/_apis/pipelines/1/runs/${job.facts.run_id}/signedlogcontent/${job.facts.id}`;
}

/** Says whether a path of the API origin belongs to the log endpoint of GitHub Enterprise Server. */
export function isSameOriginLogPath(path: string): boolean {
  return path.startsWith('/_services/pipelines/');
}

function xmlError(status: number, code: string, message: string): Answer {
  const body = `\uFEFF<?xml version="1.0" encoding="utf-8"?><Error><Code>${code}</Code><Message>${message}\nRequestId:${randomBytes(16).toString('hex')}\nTime:${new Date().toISOString()}</Message></Error>`;
  return { status, headers: { 'content-type': 'application/xml', 'x-ms-error-code': code }, body };
}

function md5(log: LogSource): string {
  const hash = createHash('md5');
  for (const chunk of log.chunks()) hash.update(chunk);
  return hash.digest('base64');
}

function blobAnswer(job: Job | undefined): Answer {
  if (job === undefined || job.log === null || job.facts.status !== 'completed' || job.lagging) {
    return xmlError(404, 'BlobNotFound', 'The specified blob does not exist.');
  }
  const small = job.log.bytes <= BLOCK_BLOB_BYTES && job.sealed;
  const modified = new Date(job.facts.completed_at ?? 0);
  const kind: Record<string, string> = small
    ? { 'x-ms-blob-type': 'BlockBlob', 'content-md5': md5(job.log) }
    : { 'x-ms-blob-type': 'AppendBlob', ...(job.sealed ? { 'x-ms-blob-sealed': 'true' } : {}) };
  const headers = {
    'content-type': 'text/plain',
    'last-modified': modified.toUTCString(),
    'accept-ranges': 'bytes',
    etag: `"0x8D${createHash('sha256').update(job.blobPath).digest('hex').slice(0, 13).toUpperCase()}"`,
    'x-ms-creation-time': modified.toUTCString(),
    ...kind,
  };
  return { status: 200, headers, body: job.log };
}

interface LogRequest {
  job: Job | undefined;
  sameOrigin: boolean;
  url: URL;
}

function answerLog(hub: Hub, signer: LinkSigner, incoming: IncomingMessage, request: LogRequest): Answer {
  const { url, sameOrigin, job } = request;
  if (incoming.method !== 'GET')
    return xmlError(405, 'UnsupportedHttpVerb', 'The resource does not support this verb.');
  if (incoming.headers.authorization !== undefined && !sameOrigin) {
    return xmlError(
      403,
      'AuthenticationFailed',
      'Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly including the signature.',
    );
  }
  if (!signer.isValid(url.pathname, url.searchParams, hub.now())) {
    return xmlError(
      403,
      'AuthenticationFailed',
      'Server failed to authenticate the request. Make sure the value of the signature is correct and has not expired.',
    );
  }
  return blobAnswer(job);
}

/** Serves one request to the log host. */
export async function serveLog(
  hub: Hub,
  signer: LinkSigner,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  incoming.resume();
  response.once('close', hub.requests.begin());
  const url = new URL(incoming.url ?? '/', hub.links.webUrl);
  const remote = BLOB_PATH.exec(url.pathname);
  const local = SAME_ORIGIN_PATH.exec(url.pathname);
  const job =
    local === null
      ? hub.world.jobByBlob(`${remote?.[1]}/${remote?.[2]}`)
      : hub.world.jobs.get(Number(local[2]));
  const jobId = job?.facts.id ?? null;
  const installationId = hub.world.repositories.get(job?.repositoryId ?? -1)?.installationId ?? null;
  const subject = { route: 'blob', jobId, runId: job?.facts.run_id ?? null, installationId };
  const { delayMs, effect } = hub.faults.take(subject);
  await waitFor(delayMs);
  const request = { job, sameOrigin: local !== null, url };
  const answer = faultAnswer(effect) ?? answerLog(hub, signer, incoming, request);
  const status = typeof answer === 'string' ? 0 : answer.status;
  const authorization = hub.credentials.identify(incoming.headers.authorization).kind;
  const entry = { origin: 'logs', route: 'blob', path: url.pathname, status, authorization, jobId } as const;
  hub.requests.add({ ...entry, method: incoming.method ?? 'GET', atMs: hub.now() }, incoming.headers);
  if (answer === 'reset') incoming.socket.resetAndDestroy();
  if (typeof answer === 'string') return;
  const own =
    effect?.kind === 'page'
      ? {}
      : {
          server: 'Windows-Azure-Blob/1.0 Microsoft-HTTPAPI/2.0',
          'x-ms-version': '2025-11-05',
          'x-ms-request-id': randomBytes(16).toString('hex'),
        };
  const headers = { ...own, ...answer.headers };
  await sendAnswer(response, { ...answer, headers }, effect);
}
