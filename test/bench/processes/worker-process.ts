/**
 * A worker to measure Everlog's against, `worker-process.ts KIND QUEUE_URL GITHUB_ORIGIN STORE_ORIGIN CONCURRENCY`. Both kinds take jobs
 * from a BullMQ queue of their kind's name, and store a log and a record for each:
 *
 *   raw      the same calls, PUTs and commits as Everlog, by undici and the AWS SDK's signer, without any of its checks
 *   octokit  job and log by Octokit, the whole log in memory, PUTs by the AWS SDK: how it is usually written
 *   nothing  takes the job and is done
 */
import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { Octokit } from '@octokit/core';
import { SignatureV4 } from '@smithy/signature-v4';
import { Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { Agent, request } from 'undici';
import { z } from 'zod';
import { OWNER, REPOSITORY } from '../areas/deliveries.ts';
import { storeSettings } from '../stage.ts';

const [kind = '', queueUrl = '', github = '', store = '', concurrency = '1'] = process.argv.slice(2);
const KEY = { accessKeyId: 'bench', secretAccessKey: storeSettings(store)['AWS_SECRET_ACCESS_KEY'] ?? '' };
const REGION = 'us-east-1';
const EMPTY_SHA256 = createHash('sha256').digest('hex');
const jobData = z.object({ job_id: z.number() });
const dispatcher = new Agent({ connections: 100, pipelining: 1 });

/** What the signer wants of a hash: plain, or keyed. */
class Sha256 {
  private readonly hash: Hash | Hmac;
  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.hash = secret === undefined ? createHash('sha256') : createHmac('sha256', keyOf(secret));
  }
  update(chunk: Uint8Array): void {
    this.hash.update(chunk);
  }
  digest(): Promise<Uint8Array> {
    return Promise.resolve(this.hash.digest());
  }
  reset(): void {
    throw new Error('a hash is used once');
  }
}

function keyOf(secret: string | ArrayBuffer | ArrayBufferView): string | Buffer {
  if (typeof secret === 'string') return secret;
  if (secret instanceof ArrayBuffer) return Buffer.from(secret);
  return Buffer.from(secret.buffer, secret.byteOffset, secret.byteLength);
}

const signer = new SignatureV4({
  credentials: KEY,
  region: REGION,
  service: 's3',
  sha256: Sha256,
  uriEscapePath: false,
});

async function signed(
  method: 'GET' | 'PUT',
  path: string,
  query: Record<string, string>,
  body?: Buffer,
): Promise<void> {
  const { hostname, port, host } = new URL(store);
  const sha256 = body === undefined ? EMPTY_SHA256 : createHash('sha256').update(body).digest('hex');
  const put = body === undefined ? {} : { 'if-none-match': '*', 'content-type': 'application/gzip' };
  const toSend = await signer.sign({
    method,
    protocol: 'http:',
    hostname,
    port: Number(port),
    path,
    query,
    headers: { host, 'x-amz-content-sha256': sha256, ...put },
  });
  const search = new URLSearchParams(query).toString();
  const answer = await request(`${store}${path}${search === '' ? '' : `?${search}`}`, {
    method,
    headers: toSend.headers,
    dispatcher,
    ...(body === undefined ? {} : { body }),
  });
  await answer.body.text();
  if (answer.statusCode !== 200) throw new Error(`the store answered ${answer.statusCode}`);
}

function keysOf(id: number): { log: string; record: string; records: string } {
  const place = `host=127.0.0.1/owner=${OWNER}/repo=${REPOSITORY}`;
  return {
    log: `bench/v1/logs/${place}/dt=2026-11-20/1-1-${id}.log.gz`,
    record: `bench/v1/records/${place}/1/1/${id}.json`,
    records: `bench/v1/records/${place}/1/`,
  };
}

function recordOf(id: number, job: unknown, log: Buffer, stored: Buffer): Buffer {
  const sha256 = createHash('sha256').update(log).digest('hex');
  return Buffer.from(
    JSON.stringify({ job_id: id, job, log: { sha256, bytes: log.length, stored: stored.length } }),
  );
}

async function rawJob(id: number): Promise<void> {
  const keys = keysOf(id);
  await signed('GET', '/archive/', { 'list-type': '2', prefix: keys.records });
  const url = `${github}/api/v3/repos/${OWNER}/${REPOSITORY}/actions/jobs/${id}`;
  const headers = { authorization: 'Bearer a-token', accept: 'application/vnd.github+json' };
  const job: unknown = await (await request(url, { headers, dispatcher })).body.json();
  const link = await request(`${url}/logs`, { headers, dispatcher });
  await link.body.dump();
  const answer = await request(String(link.headers['location']), { dispatcher });
  const log = Buffer.from(await answer.body.arrayBuffer());
  const zipped = gzipSync(log, { level: 6 });
  await signed('PUT', `/archive/${keys.log}`, {}, zipped);
  await signed('PUT', `/archive/${keys.record}`, {}, recordOf(id, job, log, zipped));
}

const octokit = new Octokit({ auth: 'a-token', baseUrl: `${github}/api/v3` });
const client = new S3Client({ endpoint: store, region: REGION, credentials: KEY, forcePathStyle: true });

async function octokitJob(id: number): Promise<void> {
  const place = { owner: OWNER, repo: REPOSITORY, job_id: id };
  const job = await octokit.request('GET /repos/{owner}/{repo}/actions/jobs/{job_id}', place);
  const answer = await octokit.request('GET /repos/{owner}/{repo}/actions/jobs/{job_id}/logs', place);
  const log = Buffer.from(String(answer.data));
  const zipped = gzipSync(log, { level: 6 });
  const keys = keysOf(id);
  await client.send(new PutObjectCommand({ Bucket: 'archive', Key: keys.log, Body: zipped }));
  const record = recordOf(id, job.data, log, zipped);
  await client.send(new PutObjectCommand({ Bucket: 'archive', Key: keys.record, Body: record }));
}

async function nothing(): Promise<void> {
  await Promise.resolve();
}

const WORK: Readonly<Record<string, (id: number) => Promise<void>>> = {
  raw: rawJob,
  octokit: octokitJob,
  nothing,
};
const work = WORK[kind];
if (work === undefined) throw new Error(`no worker is called ${kind}`);
const worker = new Worker(kind, async (job) => work(jobData.parse(job.data).job_id), {
  connection: new Redis(queueUrl, { maxRetriesPerRequest: null }),
  concurrency: Number(concurrency),
});
worker.on('failed', (_job, error) => process.stderr.write(`${error.stack ?? error.message}\n`));
await worker.waitUntilReady();
process.stdout.write(`${JSON.stringify({ ready: true })}\n`);
