import { createHash, createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer, get } from 'node:http';
import type { IncomingHttpHeaders, Server } from 'node:http';
import { App } from '@octokit/app';
import { afterEach, expect, test } from 'vitest';
import { z } from 'zod';
import { digestLog, readWholeLog } from '../../src/simulator/logs/log-source.ts';
import { demoScenario } from '../../src/simulator/scenario.ts';
import { startSimulator } from '../../src/simulator/simulator.ts';
import type { Simulator, SimulatorOptions } from '../../src/simulator/simulator.ts';
import type { FaultEffect } from '../../src/simulator/faults.ts';
import type { AddJob } from '../../src/simulator/world.ts';

const open: { close(): Promise<void> }[] = [];

afterEach(async () => {
  await Promise.all(open.splice(0).map((each) => each.close()));
});

/** A simulator with one installation, one repository and one run. */
async function begin(options: SimulatorOptions = {}, job: Partial<AddJob> = {}) {
  const github = await startSimulator(options);
  open.push(github);
  const installation = github.world.addInstallation({ login: 'octo-org' });
  const repository = github.world.addRepository({ name: 'Octo-Repo', installationId: installation.id });
  const run = github.world.run(github.world.addRun({ repositoryId: repository.id }));
  const added = github.world.addJob({ runId: run.id, ...job });
  const token = await mintToken(github, installation.id);
  return { github, installation, repository, run, job: added, token };
}

function client(github: Simulator): App {
  return new App({ appId: github.appId, privateKey: github.privateKeyPem });
}

const tokenSchema = z.object({ token: z.string(), expires_at: z.string() });

async function mintToken(github: Simulator, installationId: number): Promise<string> {
  const path = '/app/installations/{installation_id}/access_tokens';
  const answer = await client(github).octokit.request(`POST ${path}`, {
    baseUrl: github.apiUrl,
    installation_id: installationId,
  });
  return tokenSchema.parse(answer.data).token;
}

interface CallOptions {
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

async function call(
  github: Simulator,
  path: string,
  token: string,
  options: CallOptions = {},
): Promise<Response> {
  const url = path.startsWith('http') ? path : github.apiUrl + path;
  const headers = { authorization: `Bearer ${token}`, ...options.headers };
  return fetch(url, { redirect: 'manual', ...options, headers });
}

async function logLink(github: Simulator, jobId: number, token: string): Promise<string> {
  const answer = await call(github, `/repos/octo-org/octo-repo/actions/jobs/${jobId}/logs`, token);
  expect(answer.status).toBe(302);
  return answer.headers.get('location') ?? '';
}

async function asJwt(github: Simulator, route: string, parameters: Record<string, unknown> = {}) {
  return client(github).octokit.request(route, { baseUrl: github.apiUrl, ...parameters });
}

interface Received {
  headers: IncomingHttpHeaders;
  body: string;
}

/** A receiver that answers with the given statuses in turn, the last for ever. */
async function receiver(...statuses: number[]): Promise<{ url: string; received: Received[] }> {
  const received: Received[] = [];
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      received.push({ headers: request.headers, body: Buffer.concat(chunks).toString('utf8') });
      const status = statuses.length > 1 ? statuses.shift() : statuses[0];
      response.writeHead(status ?? 202).end('{"outcome":"queued"}');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  open.push({ close: async () => void server.close() });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { url: `http://127.0.0.1:${address.port}/webhooks`, received };
}

test('@octokit/app authenticates; a job is shown whole and its log comes byte for byte from another origin', async () => {
  const { github, job, token } = await begin({}, { conclusion: 'failure', log: { sizeBytes: 300_000 } });
  expect(token).toMatch(/^ghs_1_ey[A-Za-z0-9._-]+$/);
  expect(token).toHaveLength(520);
  const shown = await call(github, `/repos/octo-org/octo-repo/actions/jobs/${job.facts.id}`, token);
  expect(await shown.json()).toMatchObject({ id: job.facts.id, conclusion: 'failure', run_attempt: 1 });
  expect(shown.headers.get('x-ratelimit-limit')).toBe('15000');
  expect(shown.headers.get('x-github-request-id')).toMatch(/^[0-9A-F:]+$/);

  const link = await logLink(github, job.facts.id, token);
  expect(new URL(link).origin).toBe(github.logOrigin);
  expect(new URL(link).origin).not.toBe(new URL(github.apiUrl).origin);
  const served = await fetch(link);
  const bytes = Buffer.from(await served.arrayBuffer());
  expect(job.log && bytes.equals(readWholeLog(job.log))).toBe(true);
  expect(bytes).toHaveLength(300_000);
  expect(served.headers.get('content-md5')).toBe(createHash('md5').update(bytes).digest('base64'));
  expect(served.headers.get('x-ms-blob-type')).toBe('BlockBlob');
  expect(served.headers.get('content-encoding')).toBeNull();
  expect(github.requests.count('blob')).toBe(1);
});

test('credentials are refused as GitHub refuses them', async () => {
  let nowMs = Date.now();
  const { github, installation, job, token } = await begin({ now: () => nowMs, acceptToken: 'github_pat_1' });
  const path = `/repos/octo-org/octo-repo/actions/jobs/${job.facts.id}`;
  expect((await fetch(github.apiUrl + path)).status).toBe(401);
  expect((await call(github, path, 'ghs_wrong')).status).toBe(401);
  expect((await call(github, path, 'github_pat_1')).status).toBe(200);
  expect((await call(github, '/repos/octo-org/none', token)).status).toBe(404);

  const foreign = github.world.addInstallation({ login: 'elsewhere' });
  expect((await call(github, path, await mintToken(github, foreign.id))).status).toBe(404);
  const other = await startSimulator();
  open.push(other);
  const stranger = { ...github, privateKeyPem: other.privateKeyPem };
  await expect(mintToken(stranger, installation.id)).rejects.toMatchObject({ status: 401 });
  await expect(mintToken({ ...github, appId: 2 }, installation.id)).rejects.toMatchObject({ status: 401 });
  await expect(mintToken(github, 4_711)).rejects.toMatchObject({ status: 404 });

  github.world.setInstallation(installation.id, 'suspended');
  await expect(mintToken(github, installation.id)).rejects.toThrow('This installation has been suspended');
  github.world.setInstallation(installation.id, 'active');
  expect(
    (await call(github, path, token, { headers: { 'x-github-api-version': '1999-01-01' } })).status,
  ).toBe(400);
  nowMs += 3_600_001;
  const expired = await call(github, path, token);
  expect(expired.status).toBe(401);
  expect(await expired.json()).toMatchObject({ message: 'Bad credentials', status: '401' });
});

test('a link expires, cannot be altered, and is refused with an Authorization header', async () => {
  let nowMs = Date.now();
  const { github, job, token } = await begin({ now: () => nowMs });
  const link = await logLink(github, job.facts.id, token);
  expect((await call(github, link, token)).status).toBe(403);
  expect((await fetch(link.replace('sig=', 'sig=A'))).status).toBe(403);
  expect((await fetch(link)).status).toBe(200);
  nowMs += 60_000;
  const late = await fetch(link);
  expect(late.status).toBe(403);
  expect(await late.text()).toContain('<Code>AuthenticationFailed</Code>');
});

test('logs that are missing, expired or hidden answer as the sources describe', async () => {
  const { github, run, token } = await begin();
  const add = (job: Partial<AddJob>) => github.world.addJob({ runId: run.id, ...job }).facts.id;
  const path = (id: number) => `/repos/octo-org/octo-repo/actions/jobs/${id}/logs`;
  for (const id of [
    add({ conclusion: 'skipped' }),
    add({ log: null }),
    add({ status: 'in_progress', log: 'half' }),
  ]) {
    const blob = await fetch(await logLink(github, id, token));
    expect(blob.status).toBe(404);
    expect(await blob.text()).toContain('<Code>BlobNotFound</Code>');
  }
  const gone = await call(github, path(add({ logState: 'expired' })), token);
  expect(gone.status).toBe(410);
  expect(await gone.json()).toMatchObject({ message: 'Server Error', status: '410' });
  expect((await call(github, path(add({ logState: 'hidden' })), token)).status).toBe(404);
  const empty = await fetch(await logLink(github, add({ log: '' }), token));
  expect([empty.status, empty.headers.get('content-length')]).toEqual([200, '0']);
});

test('as on GitHub Enterprise Server: a path prefix, logs on the same origin, no rate limit, older objects', async () => {
  const options = { apiPrefix: '/api/v3', sameOriginLogs: true, rateLimit: null };
  const { github, job, token } = await begin(options, { omitted: ['workflow_name', 'created_at'] });
  github.world.apiVersions = null;
  expect((await call(github, '/versions', token)).status).toBe(404);
  const shown = await call(github, `/repos/octo-org/octo-repo/actions/jobs/${job.facts.id}`, token);
  expect(shown.headers.get('x-ratelimit-limit')).toBeNull();
  expect(Object.keys(z.record(z.string(), z.unknown()).parse(await shown.json()))).not.toContain(
    'workflow_name',
  );
  const link = await logLink(github, job.facts.id, token);
  expect(new URL(link).origin).toBe(new URL(github.apiUrl).origin);
  expect(link).toContain('/_services/pipelines/');
  expect((await fetch(link)).status).toBe(200);
});

test('a job can lag behind its completed delivery', async () => {
  const { github, job, token } = await begin();
  const path = `/repos/octo-org/octo-repo/actions/jobs/${job.facts.id}`;
  github.world.setLag(job.facts.id, true);
  expect(await (await call(github, path, token)).json()).toMatchObject({
    status: 'in_progress',
    conclusion: null,
  });
  expect((await fetch(await logLink(github, job.facts.id, token))).status).toBe(404);
  github.world.setLag(job.facts.id, false);
  expect(await (await call(github, path, token)).json()).toMatchObject({
    status: 'completed',
    conclusion: 'success',
  });
});

const jobsPage = z.object({ total_count: z.number(), jobs: z.array(z.object({ id: z.number() })) });

test('lists are paginated by Link headers; attempts are kept apart', async () => {
  const { github, run, token } = await begin();
  for (let number = 1; number < 130; number += 1)
    github.world.addJob({ runId: run.id, name: `job ${number}`, log: null });
  github.world.rerun(run.id);
  github.world.addJob({ runId: run.id });
  const base = `/repos/octo-org/octo-repo/actions/runs/${run.id}`;
  const ids: number[] = [];
  let next: string | undefined = `${base}/attempts/1/jobs?per_page=100`;
  while (next !== undefined) {
    const answer = await call(github, next, token);
    const page = jobsPage.parse(await answer.json());
    expect(page.total_count).toBe(130);
    ids.push(...page.jobs.map((job) => job.id));
    next = /<([^>]+)>; rel="next"/.exec(answer.headers.get('link') ?? '')?.[1];
  }
  expect(new Set(ids).size).toBe(130);
  const latest = jobsPage.parse(await (await call(github, `${base}/jobs`, token)).json());
  expect(latest.total_count).toBe(1);
  const all = jobsPage.parse(
    await (await call(github, `${base}/jobs?filter=all&per_page=1000`, token)).json(),
  );
  expect([all.total_count, all.jobs.length]).toEqual([131, 100]);
  expect((await call(github, `${base}/attempts/3`, token)).status).toBe(404);
});

const runsPage = z.object({ total_count: z.number(), workflow_runs: z.array(z.object({ id: z.number() })) });

test('filtered runs come newest first and stop at 1,000', async () => {
  const { github, repository, token } = await begin();
  for (let minute = 0; minute < 1_020; minute += 1) {
    const created_at = new Date(Date.UTC(2026, 0, 1, 0, minute)).toISOString();
    github.world.addRun({ repositoryId: repository.id, created_at });
  }
  const list = async (query: string) =>
    runsPage.parse(
      await (await call(github, `/repos/octo-org/octo-repo/actions/runs?${query}`, token)).json(),
    );
  const last = await list('created=2026-01-01..2026-01-31&per_page=100&page=10');
  expect([last.total_count, last.workflow_runs.length]).toEqual([1_020, 100]);
  expect((await list('created=2026-01-01..2026-01-31&per_page=100&page=11')).workflow_runs).toEqual([]);
  const ids = last.workflow_runs.map((run) => run.id);
  expect(ids).toEqual([...ids].sort((a, b) => b - a));
  expect((await list('created=%3E%3D2026-01-01T16:50:00Z&status=success')).total_count).toBe(11);
});

test('an old name answers 301 to the id on the same origin until another repository takes it', async () => {
  const { github, repository, installation, job, token } = await begin();
  github.world.renameRepository(repository.id, { name: 'renamed' });
  const old = `/repos/octo-org/octo-repo/actions/jobs/${job.facts.id}`;
  const moved = await call(github, `${old}/logs`, token);
  expect(moved.status).toBe(301);
  const location = moved.headers.get('location') ?? '';
  expect(location).toBe(`${github.apiUrl}/repositories/${repository.id}/actions/jobs/${job.facts.id}/logs`);
  expect((await call(github, location, token)).status).toBe(302);
  github.world.addRepository({ name: 'Octo-Repo', installationId: installation.id });
  expect((await call(github, old, token)).status).toBe(404);
});

test('an exhausted installation gets 403 until its window ends, others do not', async () => {
  let nowMs = Date.now();
  const { github, installation, token } = await begin({
    now: () => nowMs,
    rateLimit: { limit: 10, windowMs: 1_000 },
  });
  github.rateLimits.setRemaining(installation.id, 1);
  const path = '/repos/octo-org/octo-repo';
  expect((await call(github, path, token)).headers.get('x-ratelimit-remaining')).toBe('0');
  const refused = await call(github, path, token);
  expect([refused.status, refused.headers.get('x-ratelimit-remaining')]).toEqual([403, '0']);
  expect(await refused.text()).toContain('API rate limit exceeded for installation ID 1');
  expect((await call(github, '/rate_limit', token)).status).toBe(200);
  nowMs += 1_000;
  expect((await call(github, path, token)).status).toBe(200);
});

test('deliveries are signed, listed and redelivered with the same GUID', async () => {
  const { url, received } = await receiver(503, 202);
  const { github, run } = await begin({ webhookUrl: url, webhookSecret: 'secret' });
  const running = github.world.addJob({ runId: run.id, status: 'in_progress' });
  const sent = await github.deliveries.completeJob(running.facts.id, { conclusion: 'failure' });
  expect(sent.status).toBe(503);
  const [first] = received;
  const hmac = createHmac('sha256', 'secret')
    .update(first?.body ?? '')
    .digest('hex');
  expect(first?.headers).toMatchObject({
    'x-hub-signature-256': `sha256=${hmac}`,
    'x-github-event': 'workflow_job',
  });
  expect(JSON.parse(first?.body ?? '')).toMatchObject({
    action: 'completed',
    workflow_job: { id: running.facts.id, status: 'completed', conclusion: 'failure' },
    installation: { id: 1 },
    repository: { full_name: 'octo-org/Octo-Repo' },
  });

  const failed = await asJwt(github, 'GET /app/hook/deliveries', { status: 'failure' });
  const schema = z.array(
    z.object({ id: z.number(), guid: z.string(), status: z.string(), redelivery: z.boolean() }),
  );
  const [listed] = schema.parse(failed.data);
  expect(listed).toMatchObject({ guid: sent.guid, status: 'Invalid HTTP Response: 503', redelivery: false });
  await asJwt(github, 'POST /app/hook/deliveries/{id}/attempts', { id: listed?.id });
  await github.deliveries.settle();
  expect(received[1]?.headers['x-github-delivery']).toBe(sent.guid);
  expect(received[1]?.body).toBe(first?.body);
  const again = await asJwt(github, 'GET /app/hook/deliveries', { per_page: 1 });
  expect(again.data).toMatchObject([{ guid: sent.guid, status: 'OK', redelivery: true }]);
  expect(again.headers.link).toMatch(/cursor=v1_\d+>; rel="next"/);

  await github.deliveries.completeJob(running.facts.id, { drop: true });
  expect(received).toHaveLength(2);
  expect(github.deliveries.log).toHaveLength(2);
  await github.deliveries.completeJob(running.facts.id, {
    tamper: true,
    headers: { 'x-github-event': null },
  });
  const forged = createHmac('sha256', 'secret')
    .update(received[2]?.body ?? '')
    .digest('hex');
  expect(received[2]?.headers['x-hub-signature-256']).not.toBe(`sha256=${forged}`);
  expect(received[2]?.headers['x-github-event']).toBeUndefined();
});

interface Raw {
  status: number;
  bytes: number;
  complete: boolean;
  headers: IncomingHttpHeaders;
}

/** Reads an answer without decoding anything; rejects if there is none. */
async function readRaw(url: string): Promise<Raw> {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent: false }, (response) => {
      let bytes = 0;
      response.on('data', (chunk: Buffer) => (bytes += chunk.length));
      response.on('error', () => undefined);
      response.on('close', () => {
        resolve({
          status: response.statusCode ?? 0,
          bytes,
          complete: response.complete,
          headers: response.headers,
        });
      });
    });
    request.on('error', reject);
  });
}

test('each fault spoils exactly the requests it is set for', async () => {
  const { github, job, token } = await begin({}, { log: { sizeBytes: 200_000 } });
  const link = await logLink(github, job.facts.id, token);
  const spoilt = async (effect: FaultEffect): Promise<Raw> => {
    const fault = github.faults.add({ match: { route: 'blob', jobId: job.facts.id }, times: 1, effect });
    const raw = await readRaw(link);
    expect(fault.hits).toBe(1);
    return raw;
  };
  const body = 'busy';
  expect(await spoilt({ kind: 'status', status: 503, headers: { 'retry-after': '7' }, body })).toMatchObject({
    status: 503,
    bytes: 4,
  });
  await expect(spoilt({ kind: 'reset' })).rejects.toThrow(/ECONNRESET|hang up/);
  expect(await spoilt({ kind: 'cut', afterBytes: 70_000 })).toMatchObject({ bytes: 70_000, complete: false });
  const chunkedCut = await spoilt({ kind: 'cut', afterBytes: 70_000, framing: 'chunked' });
  expect(chunkedCut).toMatchObject({ bytes: 70_000, complete: false });
  const closed = await spoilt({ kind: 'cut', afterBytes: 70_000, framing: 'close' });
  expect(closed).toMatchObject({ bytes: 70_000, complete: true });
  expect([closed.headers['content-length'], closed.headers['transfer-encoding']]).toEqual([
    undefined,
    undefined,
  ]);
  const chunked = await spoilt({ kind: 'chunked' });
  expect([chunked.bytes, chunked.complete, chunked.headers['transfer-encoding']]).toEqual([
    200_000,
    true,
    'chunked',
  ]);
  const gzip = await spoilt({ kind: 'gzip' });
  expect(gzip.headers['content-encoding']).toBe('gzip');
  expect(await spoilt({ kind: 'gzip', cutAt: 500 })).toMatchObject({ bytes: 500, complete: true });
  const elsewhere = await spoilt({ kind: 'redirect', location: 'http://169.254.169.254/' });
  expect([elsewhere.status, elsewhere.headers.location]).toEqual([302, 'http://169.254.169.254/']);
  const startedMs = performance.now();
  expect(await spoilt({ kind: 'delay', ms: 50 })).toMatchObject({ status: 200, complete: true });
  expect(performance.now() - startedMs).toBeGreaterThan(45);

  github.faults.add({ match: { route: 'job' }, effect: { kind: 'hang' } });
  const path = `/repos/octo-org/octo-repo/actions/jobs/${job.facts.id}`;
  const signal = AbortSignal.timeout(100);
  await expect(call(github, path, token, { signal })).rejects.toMatchObject({ name: 'TimeoutError' });
  github.faults.clear();
  expect((await call(github, path, token)).status).toBe(200);
  expect(await readRaw(link)).toMatchObject({ bytes: 200_000, complete: true });
});

test('a generated log has its exact size, runs forward in time and lies within its steps', async () => {
  const { job } = await begin(
    {},
    { conclusion: 'failure', log: { sizeBytes: 1_000_000 }, durationMs: 90_000 },
  );
  if (job.log === null) throw new Error('a log was expected');
  const bytes = readWholeLog(job.log);
  expect(bytes).toHaveLength(1_000_000);
  expect([...bytes.subarray(0, 3)]).toEqual([0xef, 0xbb, 0xbf]);
  const lines = bytes.subarray(3).toString('utf8').trimEnd().split('\n');
  expect(digestLog(job.log)).toEqual({
    sha256: createHash('sha256').update(bytes).digest('hex'),
    bytes: 1_000_000,
    lines: lines.length,
  });
  const stamps = lines.map((line) => /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z) /.exec(line)?.[1] ?? 'none');
  expect(stamps).not.toContain('none');
  expect(stamps).toEqual([...stamps].sort());
  const tests = job.facts.steps.find((step) => step.name === 'Run npm test');
  const at = (needle: string) => stamps[lines.findIndex((line) => line.includes(needle))] ?? '';
  const errorAt = at('##[error]Process completed with exit code 1.');
  expect(errorAt > (tests?.started_at ?? '')).toBe(true);
  expect(errorAt < (tests?.completed_at ?? '')).toBe(true);
  expect(lines.join('\n')).toContain('***');
  expect(lines.join('\n')).toContain('\u001B[36;1m');
});

test('the demo scenario covers every outcome and keeps a log over 20 MB', async () => {
  const { url, received } = await receiver(202);
  const github = await startSimulator({ webhookUrl: url });
  open.push(github);
  const steps = demoScenario(github);
  for (const step of steps) expect((await step.send()).status).toBe(202);
  expect(received).toHaveLength(steps.length);
  const kept = steps.filter((step) => step.expect === 'archived' || step.expect === 'not_produced');
  expect(new Set(kept.map((step) => step.jobId)).size).toBe(kept.length);
  expect(new Set(steps.map((step) => step.expect)).size).toBe(4);
  for (const step of kept)
    expect(github.world.job(step.jobId).log === null).toBe(step.expect === 'not_produced');
  expect(kept.some((step) => (github.world.job(step.jobId).log?.bytes ?? 0) > 20_000_000)).toBe(true);
  const forged = steps.find((step) => step.expect === 'refused');
  expect(github.world.jobs.has(forged?.jobId ?? 0)).toBe(false);
});
