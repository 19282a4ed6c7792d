import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { addSampleJobs, sampleLog } from '../support/github/sample-jobs.ts';
import { githubSettings, openStage, until } from '../support/harness/everlog-under-test.ts';
import { spawnEverlog } from '../support/processes/processes.ts';
import { startRedis } from '../support/servers/redis-server.ts';

/** One trace from a delivery to its record, over two processes, as a collector is sent it; and no secret in any of it. */
vi.setConfig({ testTimeout: 120_000 });

const SEEN_WITHIN_MS = 60_000;

const valueSchema = z.object({ stringValue: z.string().optional() }).catchall(z.unknown());
const attributesSchema = z.array(z.object({ key: z.string(), value: valueSchema })).default([]);
const spanSchema = z.object({
  traceId: z.string(),
  spanId: z.string(),
  parentSpanId: z.string().optional(),
  name: z.string(),
  attributes: attributesSchema,
});
const exportSchema = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes: attributesSchema }),
      scopeSpans: z.array(z.object({ spans: z.array(spanSchema) })),
    }),
  ),
});
type Span = z.infer<typeof spanSchema> & { readonly service: string };

const stage = openStage();
const spans: Span[] = [];
const bodies: string[] = [];
const requested: (string | undefined)[] = [];
let endpoint: string;
let queueUrl: string;
let queues = 0;
const ownQueue = (): Record<string, string> => ({
  EVERLOG_QUEUE_URL: queueUrl,
  EVERLOG_QUEUE_PREFIX: `traces-${(queues += 1)}`,
});

beforeAll(async () => {
  const redis = await startRedis();
  stage.defer(() => redis.stop());
  queueUrl = redis.url;
  const collector = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString('utf8');
      bodies.push(body);
      requested.push(request.url);
      if (request.url === '/v1/traces') spans.push(...spansIn(body));
      response.setHeader('content-type', 'application/json').end('{}');
    });
  });
  await new Promise<void>((resolve) => {
    collector.listen(0, '127.0.0.1', resolve);
  });
  stage.defer(
    () =>
      new Promise((resolve) => {
        collector.closeAllConnections();
        collector.close(resolve);
      }),
  );
  const address = collector.address();
  if (address === null || typeof address === 'string') throw new Error('it listens on a port');
  endpoint = `http://127.0.0.1:${(address satisfies AddressInfo).port}`;
});
afterAll(() => stage.close());

function spansIn(body: string): readonly Span[] {
  return exportSchema.parse(JSON.parse(body)).resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const service = textOf(resource.attributes, 'service.name');
    return scopeSpans.flatMap(({ spans: sent }) => sent.map((span) => ({ ...span, service })));
  });
}

function textOf(attributes: z.infer<typeof attributesSchema>, key: string): string {
  return attributes.find((one) => one.key === key)?.value.stringValue ?? '';
}

test('a trace begins with the delivery and ends with the record', async () => {
  const simulator = await stage.simulator();
  const env = {
    ...githubSettings(simulator),
    ...ownQueue(),
    EVERLOG_ARCHIVE_URL: stage.folder(),
    OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
  };
  const [serve, work] = await Promise.all([
    stage.everlog(['serve'], env),
    stage.everlog(['work', '--only', 'archive'], { ...env, OTEL_SERVICE_NAME: 'everlog-worker' }),
  ]);
  simulator.deliveries.url = serve.webhooksUrl;
  const [job = 0] = addSampleJobs(simulator, 1, (index) => sampleLog(900, index));
  await simulator.deliveries.completeJob(job);
  const written = (): Span[] => spans.filter(({ name }) => name === 'store put');
  await until(
    'the record is in the trace',
    () => written().some(({ attributes }) => textOf(attributes, 'everlog.key').startsWith('v1/records/')),
    SEEN_WITHIN_MS,
    () => work.process.stderr().slice(-3_000),
  );
  for (const { process: child } of [serve, work]) expect((await child.stop()).code).toBe(0);

  const delivery = spans.find(({ name }) => name === 'delivery');
  expect(delivery?.parentSpanId ?? '').toBe('');
  expect(textOf(delivery?.attributes ?? [], 'everlog.outcome')).toBe('queued');
  const trace = spans.filter(({ traceId }) => traceId === delivery?.traceId);
  const put = trace
    .filter(({ name }) => name === 'store put')
    .map(({ attributes }) => textOf(attributes, 'everlog.key').split('/').slice(0, 2).join('/'));
  expect(put).toEqual(expect.arrayContaining(['v1/logs', 'v1/records']));
  expect(put.indexOf('v1/logs')).toBeLessThan(put.indexOf('v1/records'));
  const names = trace.map(({ service, name }) => `${service}: ${name}`);
  expect(names).toEqual(
    expect.arrayContaining([
      'everlog: delivery',
      'everlog-worker: github get',
      'everlog-worker: github log',
      'everlog-worker: store put',
    ]),
  );
  // Each span but the first hangs on another of the same trace.
  const ids = new Set(trace.map(({ spanId }) => spanId));
  expect(trace.filter(({ parentSpanId = '' }) => parentSpanId !== '' && !ids.has(parentSpanId))).toEqual([]);
  expect(trace.filter(({ parentSpanId = '' }) => parentSpanId === '')).toEqual([delivery]);

  const everything = bodies.join('\n');
  expect(everything).not.toMatch(/[?&](sig|se|X-Amz-Signature)=/i);
  expect(everything).not.toMatch(/\bgh[a-z]_\w+|Bearer|PRIVATE KEY/);
  for (const secret of [simulator.webhookSecret, simulator.privateKeyPem.split('\n')[1] ?? '-'])
    expect(everything).not.toContain(secret);
});

test('a collector that is not there holds nothing up', async () => {
  const simulator = await stage.simulator();
  const nobody = 'http://127.0.0.1:9';
  const env = { ...githubSettings(simulator), ...ownQueue() };
  const serve = await stage.everlog(['serve'], { ...env, OTEL_EXPORTER_OTLP_ENDPOINT: nobody });
  simulator.deliveries.url = serve.webhooksUrl;
  const [job = 0] = addSampleJobs(simulator, 1, (index) => sampleLog(900, index));
  const { status } = await simulator.deliveries.completeJob(job);
  expect(status).toBe(202);
  expect((await serve.process.stop()).code).toBe(0);
  expect(serve.process.stderr()).not.toMatch(/\n\s+at /);
});

test('an endpoint that is no address is told once, and costs nothing but the traces', async () => {
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: 'localhost:4318' };
  const simulator = await stage.simulator();
  const settings = { ...githubSettings(simulator), ...ownQueue() };
  const serve = await stage.everlog(['serve'], { ...settings, ...env });
  expect((await serve.process.stop()).code).toBe(0);
  const told = serve.process
    .stderr()
    .split('\n')
    .filter((line) => line.includes('OTEL_'));
  expect(told).toEqual([expect.stringContaining('such as http://127.0.0.1:4318')]);

  const ls = spawnEverlog(['ls'], { ...env, EVERLOG_ARCHIVE_URL: stage.folder() });
  expect((await ls.exited).code).toBe(3);
  expect(ls.stderr()).not.toContain('OTEL_');
});

test('traces go to an endpoint of their own as it stands', async () => {
  const seen = requested.length;
  const simulator = await stage.simulator();
  const serve = await stage.everlog(['serve'], {
    ...githubSettings(simulator),
    ...ownQueue(),
    OTEL_EXPORTER_OTLP_ENDPOINT: 'localhost:4318',
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${endpoint}/mine`,
  });
  simulator.deliveries.url = serve.webhooksUrl;
  const [job = 0] = addSampleJobs(simulator, 1, (index) => sampleLog(900, index));
  await simulator.deliveries.completeJob(job);
  expect((await serve.process.stop()).code).toBe(0);
  expect(new Set(requested.slice(seen))).toEqual(new Set(['/mine']));
});
