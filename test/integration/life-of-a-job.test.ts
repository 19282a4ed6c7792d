import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { format, resolveConfig } from 'prettier';
import { afterAll, expect, test } from 'vitest';
import { z } from 'zod';
import { unpackDelivered } from '../../src/queue/catalog.ts';
import { githubSettings, openStage, queueAtRest } from '../support/harness/everlog-under-test.ts';
import { newKeyPem } from '../support/harness/sealing-under-test.ts';
import { spawnEverlog } from '../support/processes/processes.ts';
import { startRedis } from '../support/servers/redis-server.ts';

/**
 * One job from its delivery to its digest, as `docs/life-of-a-job.md` shows it: what the document quotes has to be what the program
 * writes. Run with `EVERLOG_WRITE_DOCS=1` to write it anew.
 */

const DOCUMENT = 'docs/life-of-a-job.md';
const QUOTED = /(?<=<!-- made: (?<part>[a-z-]+) -->\n\n```[a-z]*\n)[^]*?(?=\n```)/g;
const DONE_TIMEOUT_MS = 60_000;

const stage = openStage();
afterAll(() => stage.close());

const queuedSchema = z.looseObject({ delivered: z.string() });

/** What no two lives of a job have in common, made the same: moments, random names, addresses, sizes that depend on them. */
function withoutChance(text: string): string {
  return text
    .replaceAll(/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, '2026-11-20T10:02:06$1Z')
    .replaceAll(/(?<=06)\.\d+Z/g, '.000Z')
    .replaceAll(/(?<=dt=)\d{4}-\d\d-\d\d/g, '2026-11-20')
    .replaceAll(/\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, '72d3162e-cc78-11e3-81ab-4c9367dc0958')
    .replaceAll(/\b[0-9a-f]{64}\b/g, stillHash)
    .replaceAll(/\b[0-9a-f]{32}\b/g, 'a51ee30af2df036dd63f5fccbb462223')
    .replaceAll(/0x[0-9A-F]{15}/g, '0x8D19B604D62B965')
    .replaceAll(/127\.0\.0\.1(:\d+)?/g, 'github.example.com')
    .replaceAll(/(?<="(?:stored_|body_)?bytes": ?)\d{3,}/g, '3500')
    .replaceAll(/\/tmp\/[\w/-]+/g, '/archive');
}

/** A hash is told from the others and the same wherever it comes again, though never that of the true bytes. */
const hashes = new Map<string, string>();
function stillHash(hash: string): string {
  const still = hashes.get(hash) ?? createHash('sha256').update(String(hashes.size)).digest('hex');
  hashes.set(hash, still);
  return still;
}

/** As the document's own formatting has it. */
async function pretty(value: unknown): Promise<string> {
  const options = { ...(await resolveConfig(DOCUMENT)), parser: 'json' };
  return (await format(withoutChance(JSON.stringify(value, null, 2)), options)).trimEnd();
}

const jobSchema = z.looseObject({ id: z.number(), steps: z.array(z.unknown()) });
const recordSchema = z.looseObject({ job: jobSchema });

/** A job object with its first step: the others are like it. */
function shortened(job: unknown): object {
  const { steps, ...members } = jobSchema.parse(job);
  return { ...members, steps: [steps[0], `and ${steps.length - 1} more`] };
}

function withShortJob(record: unknown): object {
  const { job, ...members } = recordSchema.parse(record);
  return { ...members, job: `GitHub's own text, ${Object.keys(job).length} members` };
}

test('the document shows what a job comes to', async () => {
  const redis = await startRedis();
  stage.defer(() => redis.stop());
  const archive = stage.folder();
  const simulator = await stage.simulator();
  const { world, deliveries } = simulator;
  const installation = world.addInstallation({ id: 1, login: 'octo-org' });
  const repository = world.addRepository({
    id: 1_296_269,
    name: 'Octo-Repo',
    installationId: installation.id,
  });
  world.addRun({ id: 29_679_449, repositoryId: repository.id });
  world.addJob({
    id: 399_444_496,
    runId: 29_679_449,
    name: 'build',
    log: '2026-11-20T10:00:01.0000000Z Hello from the runner\n',
  });
  const env = {
    ...githubSettings(simulator),
    EVERLOG_QUEUE_URL: redis.url,
    EVERLOG_ARCHIVE_URL: archive,
    EVERLOG_LOG_LEVEL: 'debug',
    EVERLOG_SIGNING_KEY: newKeyPem(),
    EVERLOG_JOB_DETAILS: 'always',
  };

  const serve = await stage.everlog(['serve'], env);
  const answer = await deliveries.job(399_444_496, 'completed', { url: serve.webhooksUrl });
  const connection = new Redis(redis.url, { maxRetriesPerRequest: null });
  const queue = new Queue('archive', { connection, prefix: 'everlog' });
  const [waiting] = await queue.getJobs(['waiting', 'prioritized']);
  const queued: unknown = waiting?.data;
  const { delivered } = queuedSchema.parse(queued);
  await queue.close();
  await connection.quit();

  const work = await stage.everlog(['work', '--only', 'archive'], env);
  await queueAtRest(serve, DONE_TIMEOUT_MS);
  const seal = spawnEverlog(['seal', '--json'], env);
  expect(await seal.exited).toMatchObject({ code: 0 });

  const files = readdirSync(archive, { recursive: true, encoding: 'utf8' });
  const fileOf = (ending: RegExp): string => {
    const found = files.find((file) => ending.test(file));
    if (found === undefined) throw new Error(`no file like ${ending} among ${files.join(' ')}`);
    return found;
  };
  const textOf = (file: string): string => readFileSync(join(archive, file), 'utf8');
  const entries = gunzipSync(readFileSync(join(archive, fileOf(/entries\.ndjson\.gz$/)))).toString('utf8');
  const lines = [serve, work].flatMap(({ process: child }) =>
    child
      .stderr()
      .split('\n')
      .filter((line) => line.includes('399444496')),
  );

  const parts: Readonly<Record<string, string>> = {
    answer: `${answer.status} ${answer.body}`,
    queued: await pretty({
      ...Object(queued),
      delivered: `under ${Math.ceil(delivered.length / 1000)},000 characters`,
    }),
    delivered: await pretty(shortened(JSON.parse(unpackDelivered(delivered).workflow_job.text))),
    lines: withoutChance(lines.join('\n')),
    log: withoutChance(fileOf(/\.log\.gz$/)),
    record: await pretty(withShortJob(JSON.parse(textOf(fileOf(/records\/.*399444496\.json$/))))),
    entry: withoutChance(entries.split('\n').find((line) => line.includes('"record"')) ?? ''),
    digest: await pretty(JSON.parse(textOf(fileOf(/digest\.json$/)))),
  };
  const text = readFileSync(DOCUMENT, 'utf8');
  const written = text.replaceAll(
    QUOTED,
    (_quoted, part: string) => parts[part] ?? `nothing is called ${part}`,
  );
  if (process.env['EVERLOG_WRITE_DOCS'] === '1') writeFileSync(DOCUMENT, written);
  for (const part of Object.keys(parts)) expect(text).toContain(`<!-- made: ${part} -->`);
  expect(text).toBe(written);
});
