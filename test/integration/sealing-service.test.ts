import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { giveUp } from '../../src/errors.ts';
import { openJobQueue } from '../../src/queue/job-queue.ts';
import {
  githubSettings,
  metricsOf,
  openStage,
  until,
  type Environment,
} from '../support/harness/everlog-under-test.ts';
import { startKmsFake } from '../support/servers/kms-fake.ts';
import { folderFiles, readLedger } from '../support/oracles/ledger-oracle.ts';
import { spawnEverlog, type ManagedProcess } from '../support/processes/processes.ts';
import { archiveJob, redisStorage, work } from '../support/harness/queue-under-test.ts';
import { startRedis } from '../support/servers/redis-server.ts';
import { newKeyPem } from '../support/harness/sealing-under-test.ts';

/** Who seals, with which key, and how it is told. */

/** An embedded queue begins a database, which takes seconds on a busy machine. */
const TEST_TIMEOUT_MS = 120_000;
const SEEN_WITHIN_MS = 30_000;
const DRAIN_MS = 5_000;

const stage = openStage();
afterAll(() => stage.close());

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(args: readonly string[], env: Environment, cwd?: string): ManagedProcess {
  const child = spawnEverlog(args, env, cwd === undefined ? {} : { cwd });
  stage.defer(() => child.kill('SIGKILL'));
  return child;
}

async function run(args: readonly string[], env: Environment, cwd?: string): Promise<Ended> {
  const child = start(args, env, cwd);
  const { code } = await child.exited;
  expect(child.stderr()).not.toMatch(/bug in Everlog|\n\s+at /);
  return { code, stdout: child.stdout(), stderr: child.stderr() };
}

const sealSchema = z.looseObject({ sequence: z.number(), key_id: z.string(), entries: z.number() });
const keySchema = z.looseObject({
  key_id: z.string(),
  revoked: z.looseObject({ reason: z.string() }).nullable(),
});

async function sealed(env: Environment, cwd?: string): Promise<z.infer<typeof sealSchema>> {
  const { code, stdout, stderr } = await run(['seal', '--json'], env, cwd);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  return sealSchema.parse(JSON.parse(stdout));
}

async function keysOf(env: Environment, cwd?: string): Promise<readonly z.infer<typeof keySchema>[]> {
  const { stdout } = await run(['keys', 'ls', '--json'], env, cwd);
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => keySchema.parse(JSON.parse(line)));
}

describe('on a queue server', () => {
  let redisUrl: string;
  let archive: string;
  let env: Environment;

  beforeAll(async () => {
    const redis = await startRedis();
    stage.defer(() => redis.stop());
    redisUrl = redis.url;
    archive = stage.folder();
    // No GitHub, no webhook secret.
    env = {
      EVERLOG_QUEUE_URL: redisUrl,
      EVERLOG_ARCHIVE_URL: archive,
      EVERLOG_ADMIN_LISTEN: '127.0.0.1:0',
      EVERLOG_SEAL_INTERVAL: '1s',
    };
  });

  test(
    'a process without a signing key says once that it writes no ledger; one with nothing but a key does',
    async () => {
      const refused = await run(['work', '--only', 'seal'], env);
      expect(refused.code).toBe(2);
      expect(refused.stderr.split('\n').filter((line) => line.startsWith('  - '))).toEqual([
        expect.stringContaining('EVERLOG_SIGNING_KEY is missing'),
      ]);
      expect((await run(['seal'], env)).stderr).toContain('EVERLOG_SIGNING_KEY is missing');

      const simulator = await stage.simulator();
      const keyless = await stage.everlog(['work'], { ...githubSettings(simulator), ...env });
      const sealer = await stage.everlog(['work', '--only', 'seal'], {
        ...env,
        EVERLOG_SIGNING_KEY: newKeyPem(),
      });
      const metrics = await until(
        'two digests',
        async () => {
          const found = await metricsOf(sealer);
          return (found?.get('everlog_ledger_sequence') ?? 0) >= 2 ? found : null;
        },
        SEEN_WITHIN_MS,
        () => sealer.process.stderr(),
      );
      expect(metrics.get('everlog_pending_commits')).toBe(0);
      expect(metrics.get('everlog_seal_findings_total')).toBe(0);
      expect(metrics.get('everlog_digests_total')).toBeGreaterThanOrEqual(2);
      const age = Date.now() / 1000 - (metrics.get('everlog_last_digest_timestamp_seconds') ?? 0);
      expect(age).toBeLessThan(SEEN_WITHIN_MS / 1000);
      // Told by whoever is asked, as the gauges are of the whole deployment.
      expect((await metricsOf(keyless))?.get('everlog_ledger_sequence')).toBeGreaterThanOrEqual(2);
      expect((await metricsOf(keyless))?.get('everlog_digests_total')).toBe(0);
      const told = keyless.process
        .stderr()
        .split('\n')
        .filter((line) => line.includes('writes no ledger'));
      expect(told).toHaveLength(1);
      expect(told[0]).toContain('EVERLOG_SIGNING_KEY');
      for (const { process: child } of [keyless, sealer]) expect((await child.stop()).code).toBe(0);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'what any seal found is told by every process until a verification that began later finds nothing',
    async () => {
      const mine = {
        ...env,
        EVERLOG_QUEUE_PREFIX: 'findings',
        EVERLOG_ARCHIVE_URL: stage.folder(),
        EVERLOG_SEAL_INTERVAL: '1h',
      };
      const sealing = { ...mine, EVERLOG_SIGNING_KEY: newKeyPem() };
      await sealed(sealing);
      const queue = openJobQueue(redisStorage(redisUrl, undefined, undefined, 'findings'));
      stage.defer(() => queue.close());
      await queue.pending.add(['v1/records/host=github.com/owner=o/repo=r/1/1/1.json']);
      const found = await run(['seal', '--json'], sealing);
      expect({ code: found.code, stdout: found.stdout }).toMatchObject({
        code: 4,
        stdout: expect.stringContaining('object_missing'),
      });
      // Sees nothing new, and has seen nothing of it.
      await sealed(sealing);
      const simulator = await stage.simulator();
      const started = await stage.everlog(['work', '--only', 'archive'], {
        ...githubSettings(simulator),
        ...mine,
      });
      const told = async (): Promise<number | null> =>
        (await metricsOf(started))?.get('everlog_open_seal_findings') ?? null;
      const tells = (findings: number): Promise<unknown> =>
        until(`${findings} findings`, async () => (await told()) === findings, SEEN_WITHIN_MS);
      await tells(1);
      expect((await run(['verify', '--record', '--level', 'ledger'], mine)).code).toBe(0);
      expect(await told()).toBe(1);
      expect((await run(['verify', '--record'], mine)).code).toBe(0);
      await tells(0);
      expect((await started.process.stop()).code).toBe(0);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'a job that was dropped stays a gap in each digest, beside those that failed',
    async () => {
      const storage = redisStorage(redisUrl, undefined, undefined, 'gaps');
      const queue = openJobQueue(storage);
      await until(
        'the queue answers',
        () =>
          queue.ping().then(
            () => true,
            () => false,
          ),
        SEEN_WITHIN_MS,
      );
      for (const id of [11, 12]) await queue.add(archiveJob(id));
      const workers = work(storage, () => Promise.reject(giveUp('github_refused', 'GitHub answered 422')));
      await until('both failed', async () => (await queue.failed(9)).length === 2, SEEN_WITHIN_MS);
      await workers.drain(DRAIN_MS);
      await queue.close();
      const archiveOfGaps = stage.folder();
      const sealing = {
        ...env,
        EVERLOG_QUEUE_PREFIX: 'gaps',
        EVERLOG_ARCHIVE_URL: archiveOfGaps,
        EVERLOG_SIGNING_KEY: newKeyPem(),
      };
      expect((await run(['failed', 'drop', '11', '--reason', 'not\tours'], sealing)).code).toBe(0);
      await sealed(sealing);
      const ledger = await readLedger(folderFiles(archiveOfGaps));
      expect(ledger.digests.at(-1)?.completeness).toMatchObject({ failed: 1, gaps: { count: 2 } });
      const told = ledger.digests.at(-1)?.gapLines.map(({ job_id, reason }) => [job_id, reason]);
      expect(told).toEqual([
        [12, 'failed: GitHub answered 422'],
        [11, 'dropped: not ours'],
      ]);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'a rotation writes the new key where there is nothing yet, and says what to set',
    async () => {
      const folder = stage.folder();
      const keyed = {
        ...env,
        EVERLOG_QUEUE_PREFIX: 'rotation',
        EVERLOG_ARCHIVE_URL: `${folder}/archive`,
        EVERLOG_SIGNING_KEY: newKeyPem(),
      };
      const { key_id: firstId } = await sealed(keyed);
      const taken = join(folder, 'taken.pem');
      writeFileSync(taken, 'mine');
      const refused = await run(['keys', 'rotate', '--to', taken], keyed);
      expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining(taken) });
      expect(readFileSync(taken, 'utf8')).toBe('mine');
      for (const bad of [[], ['--to', 'awskms:alias/x'], ['--to', '']])
        expect((await run(['keys', 'rotate', ...bad], keyed)).stderr).toContain('--to');

      const next = join(folder, 'next.pem');
      const rotated = await run(['keys', 'rotate', '--to', next], keyed);
      expect(rotated).toMatchObject({ code: 0 });
      expect(rotated.stdout).toContain(`EVERLOG_SIGNING_KEY_FILE=${next}`);
      expect(statSync(next).mode & 0o777).toBe(0o600);
      expect(rotated.stdout + rotated.stderr).not.toContain(readFileSync(next, 'utf8').split('\n')[1]);
      const { EVERLOG_SIGNING_KEY: _, ...others } = keyed;
      const after = await sealed({ ...others, EVERLOG_SIGNING_KEY_FILE: next });
      expect(after.sequence).toBe(2);
      expect(after.key_id).not.toBe(firstId);
      // A key that is of no ledger here.
      const stranger = await run(['seal'], { ...keyed, EVERLOG_SIGNING_KEY: newKeyPem() });
      expect(stranger).toMatchObject({ code: 2, stderr: expect.stringContaining('keys rotate') });
    },
    TEST_TIMEOUT_MS,
  );
});

test(
  'a key of AWS KMS follows a key of a file, and seals without a private key in this process',
  async () => {
    const redis = await startRedis();
    stage.defer(() => redis.stop());
    const kms = await startKmsFake();
    const arn = 'arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab';
    const archive = stage.folder();
    const env = {
      EVERLOG_QUEUE_URL: redis.url,
      EVERLOG_ARCHIVE_URL: archive,
      AWS_ENDPOINT_URL_KMS: kms.endpoint,
      AWS_ACCESS_KEY_ID: 'AKIAEXAMPLE',
      AWS_SECRET_ACCESS_KEY: 'example',
    };
    const keyed = { ...env, EVERLOG_SIGNING_KEY: newKeyPem() };
    await sealed(keyed);
    const rotated = await run(['keys', 'rotate', '--to', `awskms:${arn}`], keyed);
    expect(rotated).toMatchObject({ code: 0 });
    expect(rotated.stdout).toContain(`EVERLOG_SIGNING_KEY=awskms:${arn}`);
    const spki = kms.publicKey.export({ type: 'spki', format: 'der' });
    const keyId = createHash('sha256').update(spki).digest('hex');
    const withKms = { ...env, EVERLOG_SIGNING_KEY: `awskms:${arn}` };
    expect(await sealed(withKms)).toMatchObject({ sequence: 2, key_id: keyId });
    expect((await readLedger(folderFiles(archive))).digests.at(-1)?.key_id).toBe(keyId);
    // Somebody took the right to use it away: told, and nothing is appended.
    kms.failures.push({ status: 400, type: 'AccessDeniedException' });
    const denied = await run(['seal'], withKms);
    expect(denied).toMatchObject({ code: 5, stderr: expect.stringContaining('kms:Sign') });
  },
  TEST_TIMEOUT_MS,
);

test(
  'an embedded queue’s key is made beside its folder, followed in place, and never made twice for one ledger',
  async () => {
    const cwd = stage.folder();
    const simulator = await stage.simulator();
    const env = githubSettings(simulator);
    const standing = join(cwd, 'data/queue.signing-key.pem');
    const up = await stage.everlog(['up'], env, cwd);
    expect(statSync(standing).mode & 0o777).toBe(0o600);
    const pem = readFileSync(standing, 'utf8');
    // By the service, which holds the queue.
    const first = await sealed(env, cwd);
    expect(first).toMatchObject({ sequence: 1, entries: 1 });

    const rotated = await run(['keys', 'rotate', '--json'], env, cwd);
    expect(rotated.code).toBe(0);
    const { kept_at: keptAt, key_id: nextId } = z
      .object({ kept_at: z.string(), key_id: z.string() })
      .parse(JSON.parse(rotated.stdout));
    expect(readFileSync(keptAt, 'utf8')).toBe(pem);
    expect(statSync(standing).mode & 0o777).toBe(0o600);
    expect(readFileSync(standing, 'utf8')).not.toBe(pem);
    // The service goes on with the key it has, until it is started again.
    expect((await sealed(env, cwd)).key_id).toBe(first.key_id);
    expect((await up.process.stop()).code).toBe(0);
    expect(await sealed(env, cwd)).toMatchObject({ sequence: 3, key_id: nextId });

    expect((await run(['keys', 'revoke', 'beef', '--reason', 'x'], env, cwd)).code).toBe(2);
    expect((await run(['keys', 'revoke', 'deadbeef', '--reason', 'x'], env, cwd)).code).toBe(3);
    const revoked = await run(['keys', 'revoke', first.key_id.slice(0, 12), '--reason', 'leaked'], env, cwd);
    expect(revoked).toMatchObject({ code: 0, stdout: expect.stringContaining(first.key_id) });
    expect((await keysOf(env, cwd)).map(({ key_id, revoked: by }) => [key_id, by?.reason ?? null])).toEqual([
      [first.key_id, 'leaked'],
      [nextId, null],
    ]);
    expect((await readLedger(folderFiles(join(cwd, 'data/archive')))).digests).toHaveLength(3);

    rmSync(standing);
    const without = await run(['up'], env, cwd);
    expect(without.code).toBe(2);
    expect(without.stderr).toMatch(/everlog: EVERLOG_SIGNING_KEY is missing: .*has digests already/);
    expect(existsSync(standing)).toBe(false);
  },
  TEST_TIMEOUT_MS,
);
