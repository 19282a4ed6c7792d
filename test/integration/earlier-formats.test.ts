import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, expect, test } from 'vitest';
import { z } from 'zod';
import { VERIFY_SCRIPT } from '../../src/ledger/export/bundle/verify-script.ts';
import { githubSettings, openStage, until, type Stage } from '../support/harness/everlog-under-test.ts';
import { spawnEverlog, spawnManaged } from '../support/processes/processes.ts';
import { startRedis } from '../support/servers/redis-server.ts';

/** What version 0.1 wrote is read, verified and worked off for good: test/fixtures/v0.1 holds it, its README says how it was made. */

const FIXTURES = resolve(import.meta.dirname, '../fixtures/v0.1');
const WORKED_OFF_TIMEOUT_MS = 45_000;

let stage: Stage = openStage();

afterEach(async () => {
  await stage.close();
  stage = openStage();
});

const factsSchema = z.object({
  jobs: z.record(z.string(), z.number()),
  rows: z.number(),
  /** The end of the last window: later digests are not asked for. */
  to: z.string(),
  keys: z.array(z.string()),
  /** Where the record with the wrong revision stands. */
  record: z.string().optional(),
});

interface Unpacked {
  /** Stands like the data of a service that ran in `cwd`. */
  readonly cwd: string;
  readonly facts: z.infer<typeof factsSchema>;
}

function unpack(name: string): Unpacked {
  const cwd = stage.folder();
  const data = join(cwd, 'data');
  mkdirSync(data);
  execFileSync('tar', ['-xzf', join(FIXTURES, `${name}.tar.gz`), '-C', data]);
  return {
    cwd,
    facts: factsSchema.parse(JSON.parse(readFileSync(join(FIXTURES, `${name}.json`), 'utf8'))),
  };
}

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function everlog({ cwd }: Unpacked, ...args: string[]): Promise<Ended> {
  const child = spawnEverlog(args, {}, { cwd });
  stage.defer(() => child.kill('SIGKILL'));
  const { code } = await child.exited;
  return { code, stdout: child.stdout(), stderr: child.stderr() };
}

const rowSchema = z.looseObject({ job_id: z.number(), outcome: z.string() });
const resultSchema = z.looseObject({ result: z.string(), key: z.string().nullish() });
const summarySchema = z.looseObject({
  result: z.string(),
  findings: z.number(),
  results: z.record(z.string(), z.number()),
  first_sequence: z.number(),
  last_sequence: z.number(),
  final: z.boolean(),
});

function lines(text: string): unknown[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line): unknown => JSON.parse(line));
}

function verdict({ code, stdout, stderr }: Ended) {
  const all = lines(stdout);
  const last = z.object({ summary: summarySchema }).safeParse(all.pop());
  if (!last.success) throw new Error(`exit ${code}, no summary: ${stdout}${stderr}`);
  return { code, summary: last.data.summary, results: all.map((line) => resultSchema.parse(line)) };
}

/** The outcome of every job that `ls` shows. */
async function outcomes(fixture: Unpacked): Promise<{ code: number | null; rows: Map<number, string> }> {
  const { code, stdout } = await everlog(fixture, 'ls', '--json');
  const rows = lines(stdout).map((line) => rowSchema.parse(line));
  return { code, rows: new Map(rows.map(({ job_id, outcome }) => [job_id, outcome])) };
}

const OUTCOMES: Readonly<Record<string, string>> = {
  archived: 'archived',
  failed: 'archived',
  skipped: 'not_produced',
  unavailable: 'unavailable',
  expired: 'expired',
  erased: 'erased',
  erased_with_record: 'erased',
  empty: 'archived',
  renamed: 'archived',
};

test.each([
  { name: 'rotated-key', final: false, digests: 8, erased: 3 },
  { name: 'final', final: true, digests: 9, erased: 3 },
  { name: 'revoked-key', final: false, digests: 4, erased: 0 },
])('an archive of 0.1 is read and verified: $name', async ({ name, final, digests, erased }) => {
  const fixture = unpack(name);
  const { jobs, rows, to, keys } = fixture.facts;
  // A closed ledger has no tail to compare with the clock.
  const verified = verdict(await everlog(fixture, 'verify', '--json', ...(final ? [] : ['--to', to])));
  expect(verified).toMatchObject({
    code: 0,
    summary: { result: 'VALID', findings: 0, first_sequence: 1, last_sequence: digests, final },
  });
  expect(verified.summary.results['ERASED'] ?? 0).toBe(erased);
  // A revoked key is not one to trust: the pin is for a key that still stands.
  const revoked = new Set(keys.filter((key) => key.endsWith('.revoked')).map((key) => key.split('.')[0]));
  const standing = keys.filter((key) => !key.endsWith('.revoked') && !revoked.has(key));
  expect(standing.length).toBeGreaterThan(0);
  for (const key of standing)
    expect(await everlog(fixture, 'verify', '--to', to, '--key', key)).toMatchObject({ code: 0 });

  const listed = await outcomes(fixture);
  expect(listed.code).toBe(0);
  expect(listed.rows.size).toBe(rows);
  for (const [what, id] of Object.entries(jobs))
    expect([what, listed.rows.get(id)]).toEqual([what, OUTCOMES[what]]);
  const printed = await everlog(fixture, 'cat', String(jobs['archived']));
  expect(printed).toMatchObject({
    code: 0,
    stdout: name === 'revoked-key' ? 'first line\n' : 'first line\nsecond line\n',
  });
});

test.each(['rotated-key', 'revoked-key'])('the next seal goes on with a ledger of 0.1: %s', async (name) => {
  const fixture = unpack(name);
  const before = verdict(await everlog(fixture, 'verify', '--json', '--to', fixture.facts.to)).summary;
  const sealed = await everlog(fixture, 'seal', '--json');
  expect({ code: sealed.code, stderr: sealed.stderr }).toEqual({ code: 0, stderr: sealed.stderr });
  expect(verdict(await everlog(fixture, 'verify', '--json'))).toMatchObject({
    code: 0,
    summary: { result: 'VALID', last_sequence: before.last_sequence + 1 },
  });
});

test('a bundle of 0.1 is verified by the command, by its own script and by that of today', async () => {
  const fixture = unpack('bundle');
  const bundle = join(fixture.cwd, 'data/bundle');
  const verified = verdict(await everlog(fixture, 'verify', '--bundle', bundle, '--json'));
  expect(verified).toMatchObject({ code: 0, summary: { result: 'VALID', findings: 0, last_sequence: 6 } });
  const script = spawnManaged('bash', ['verify.sh'], { cwd: bundle });
  stage.defer(() => script.kill('SIGKILL'));
  expect(await script.exited).toMatchObject({ code: 0 });
  expect(script.stdout()).toContain('sound: 12 entries, 17 objects, 1 of them removed with evidence');
  writeFileSync(join(bundle, 'verify.sh'), VERIFY_SCRIPT);
  const ofToday = spawnManaged('bash', ['verify.sh'], { cwd: bundle });
  stage.defer(() => ofToday.kill('SIGKILL'));
  expect(await ofToday.exited).toMatchObject({ code: 0 });
  expect(ofToday.stdout()).toContain('sound: 12 entries, 17 objects, ERASED 1, EXPIRED 0');
});

test('a confirmation of 0.1 under the number of the revision before is named for what it is, and no finding', async () => {
  const fixture = unpack('wrong-revision');
  const { jobs, to, record } = fixture.facts;
  const { code, summary, results } = verdict(await everlog(fixture, 'verify', '--json', '--to', to));
  expect({ code, summary }).toMatchObject({ code: 0, summary: { result: 'VALID', last_sequence: 1 } });
  expect(results).toContainEqual({
    result: 'NOT_CHECKED',
    key: record,
    detail: expect.stringContaining('version 0.1'),
  });
  const bundle = join(fixture.cwd, 'bundle');
  const exported = await everlog(fixture, 'export', '--out', bundle);
  expect(exported).toMatchObject({ code: 0 });
  const verified = verdict(await everlog(fixture, 'verify', '--bundle', bundle, '--json'));
  expect(verified).toMatchObject({ code: 0, summary: { result: 'VALID' } });
  const script = spawnManaged('bash', ['verify.sh'], { cwd: bundle });
  stage.defer(() => script.kill('SIGKILL'));
  const ended = await script.exited;
  expect({ ...ended, said: script.stdout() }).toMatchObject({
    code: 0,
    said: expect.stringContaining(`NOT_CHECKED ${record}: its number`),
  });
  const { rows } = await outcomes(fixture);
  for (const what of ['sound', 'also_sound'])
    expect([what, rows.get(jobs[what] ?? 0)]).toEqual([what, 'archived']);
});

const queueSchema = z.object({
  world: z.object({
    repository_id: z.number(),
    run_id: z.number(),
    created_at: z.string(),
    jobs: z.array(z.object({ id: z.number(), name: z.string(), completed_at: z.string() })),
  }),
  commands: z.array(z.tuple([z.string(), z.string()]).rest(z.string())),
});

/** Jobs in a queue of 0.1: their hashes have a name. */
function queuedKeys(commands: z.infer<typeof queueSchema>['commands']): Map<string, string> {
  const named = commands.flatMap(([command, key, ...fields]): [string, string][] => {
    const at = fields.findIndex((field, index) => index % 2 === 0 && field === 'name');
    const name = fields[at + 1];
    return command === 'HSET' && at !== -1 && name !== undefined ? [[key, name]] : [];
  });
  return new Map(named);
}

test('jobs that 0.1 queued are worked off, one of every kind', async () => {
  const { world, commands } = queueSchema.parse(
    JSON.parse(readFileSync(join(FIXTURES, 'queue.json'), 'utf8')),
  );
  const queued = queuedKeys(commands);
  expect([...new Set(queued.values())].sort()).toEqual([
    'archive-job',
    'installation-changed',
    'poll-installations',
    'reconcile-hosts',
    'reconcile-repository',
    'redeliver',
    'seal',
    'sweep-run',
  ]);
  const redis = await startRedis();
  stage.defer(() => redis.stop());
  const client = new Redis(redis.url);
  stage.defer(() => client.quit());
  for (const [command, ...args] of commands) await client.call(command, ...args);

  const simulator = await stage.simulator();
  simulator.world.addInstallation({ id: 1, login: 'Octo-Org' });
  const repositoryId = world.repository_id;
  simulator.world.addRepository({ id: repositoryId, name: 'Repo', installationId: 1 });
  simulator.world.addRun({ id: world.run_id, repositoryId, created_at: world.created_at });
  for (const { id, name, completed_at } of world.jobs) {
    const completedAtMs = Date.parse(completed_at);
    simulator.world.addJob({ id, runId: world.run_id, name, completedAtMs, log: `log of ${name}\n` });
  }
  simulator.world.completeRun(world.run_id);
  const cwd = stage.folder();
  const { privateKey } = generateKeyPairSync('ed25519');
  const worker = await stage.everlog(
    ['work'],
    {
      ...githubSettings(simulator),
      EVERLOG_QUEUE_URL: redis.url,
      EVERLOG_ARCHIVE_URL: 'file:./data/archive',
      EVERLOG_SIGNING_KEY: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    },
    cwd,
  );
  const archive = join(cwd, 'data/archive');
  const written = (): string[] =>
    existsSync(archive) ? readdirSync(archive, { recursive: true, encoding: 'utf8' }) : [];
  const waitingFor = async (): Promise<string[]> => {
    const open: string[] = [];
    for (const [key, name] of queued) {
      const [finished, failed] = await client.hmget(key, 'finishedOn', 'failedReason');
      const there = (await client.exists(key)) === 1;
      if (there && (finished === null || (failed ?? '') !== '')) open.push(`${name} ${failed ?? ''}`);
    }
    const keys = written();
    for (const { id } of world.jobs) {
      if (!keys.some((key) => key.endsWith(`/${id}.json`))) open.push(`record ${id}`);
    }
    if (!keys.some((key) => key.startsWith('v1/runs/') && key.endsWith(`${world.run_id}/1.json`)))
      open.push('run');
    if (!keys.some((key) => key.endsWith('digest.json'))) open.push('digest');
    return open;
  };
  let open: string[] = [];
  await until(
    'every job of the earlier queue is done',
    async () => {
      open = await waitingFor();
      return open.length === 0;
    },
    WORKED_OFF_TIMEOUT_MS,
    () => `${open.join('\n')}\n${worker.process.stderr().slice(-3_000)}`,
  );
  const fixture = { cwd, facts: { jobs: {}, rows: world.jobs.length, to: '', keys: [] } };
  const { rows } = await outcomes(fixture);
  expect([...rows.values()]).toEqual(world.jobs.map(() => 'archived'));
  expect((await worker.process.stop()).code).toBe(0);
});
