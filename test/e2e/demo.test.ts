import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { z } from 'zod';
import {
  removeTemporaryFolder,
  spawnEverlog,
  temporaryFolder,
  type ManagedProcess,
  type ProcessExit,
} from '../support/processes/processes.ts';

/** The bound that the demo is promised to keep on two cores. */
const PROMISED_MS = 60_000;
const MAIN = join(import.meta.dirname, '../../dist/src/cli/main.js');
const LARGE_LOG_BYTES = 20_000_000;

const endings: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

function folder(): string {
  const path = temporaryFolder('everlog-demo-test-');
  endings.push(() => Promise.resolve(removeTemporaryFolder(path)));
  return path;
}

function start(
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>> = {},
): ManagedProcess {
  const child = spawnEverlog(['demo', ...args], env, { cwd });
  endings.push(() => child.stop());
  return child;
}

async function expectEnd(demo: ManagedProcess, ending: Promise<ProcessExit>, wanted: number): Promise<void> {
  const { code } = await ending;
  if (code !== wanted)
    throw new Error(`the demo ended with ${code}, not ${wanted}:\n${demo.stdout()}${demo.stderr()}`);
}

const documentSchema = z.object({
  ok: z.boolean(),
  folder: z.null(),
  problems: z.array(z.string()),
  objects: z.object({ records: z.number(), logs: z.number() }),
  compared: z.object({ logs: z.number(), bytes: z.number() }),
  run_events: z.object({ sent: z.number(), queued: z.number() }),
  ledger: z.object({
    sequence: z.number(),
    entries: z.number(),
    verified: z.object({ digests: z.number(), objects: z.number(), bytes: z.number() }),
  }),
  deliveries: z.array(
    z.object({
      job_id: z.number(),
      status: z.number(),
      answer: z.string(),
      expected: z.string(),
      found: z.string(),
      log: z.object({ bytes: z.number(), sha256: z.string() }).nullable(),
    }),
  ),
});

test('demo --exit shows all as expected, in time, and leaves nothing behind', async () => {
  const [cwd, temporary] = [folder(), folder()];
  const startedMs = performance.now();
  const demo = start(['--exit'], cwd, { TMPDIR: temporary });
  await expectEnd(demo, demo.exited, 0);
  expect(performance.now() - startedMs).toBeLessThan(PROMISED_MS);
  for (const said of [
    '✓ archived',
    '✓ not_produced',
    '✓ duplicate',
    '✓ refused',
    '##[error]',
    '✓ All as expected',
    'digest 1 seals',
  ])
    expect(demo.stdout()).toContain(said);
  expect(demo.stdout()).not.toContain('✗');
  expect(demo.stdout()).not.toContain('\u001b');
  expect(demo.stderr()).toContain('401 bad_signature');
  expect(readdirSync(temporary)).toEqual([]);
  expect(readdirSync(cwd)).toEqual([]);
});

test('demo --exit --json gives one document, whatever the user’s own settings are', async () => {
  const env = {
    EVERLOG_ARCHIVE_URL: 's3://not-for-demos',
    EVERLOG_QUEUE_URL: 'redis://127.0.0.1:1',
    EVERLOG_TYPO: 'x',
  };
  const demo = start(['--exit', '--json'], folder(), env);
  await expectEnd(demo, demo.exited, 0);
  const lines = demo.stdout().trimEnd().split('\n');
  expect(lines).toHaveLength(1);
  const { deliveries, ...said } = documentSchema.parse(JSON.parse(lines[0] ?? ''));
  expect(said).toMatchObject({ ok: true, problems: [] });
  expect(said.run_events.queued).toBe(said.run_events.sent);
  const archived = deliveries.filter(({ found }) => found === 'archived');
  const recorded = deliveries.filter(({ found }) => found === 'archived' || found === 'not_produced');
  expect(said.objects).toEqual({ records: recorded.length, logs: archived.length });
  expect(said.compared.logs).toBe(archived.length);
  expect(said.ledger).toMatchObject({ sequence: 1, verified: { digests: 1 } });
  expect(said.ledger.entries).toBeGreaterThanOrEqual(recorded.length);
  expect(said.ledger.verified.objects).toBeGreaterThanOrEqual(recorded.length + archived.length);
  expect(deliveries.map(({ found }) => found)).toEqual(deliveries.map(({ expected }) => expected));
  expect(new Set(deliveries.map(({ found }) => found))).toEqual(
    new Set(['archived', 'not_produced', 'duplicate', 'refused']),
  );
  expect(deliveries.find(({ found }) => found === 'refused')).toMatchObject({
    status: 401,
    answer: 'bad_signature',
  });
  expect(Math.max(...archived.map(({ log }) => log?.bytes ?? 0))).toBeGreaterThan(LARGE_LOG_BYTES);
});

test('demo keeps serving, the commands that it suggests work when pasted, and it ends on a signal', async () => {
  const cwd = folder();
  const demo = start([], cwd);
  await demo.waitForLine(({ text }) => text.includes('keep running'), PROMISED_MS);
  const report = demo.stdout();
  const sha256 = /which must give ([0-9a-f]{12})…/.exec(report)?.[1];
  const commands = report
    .split('\n')
    .filter((line) => line.startsWith('    '))
    .map((line) => line.trim());
  const outputs = commands.map((command) => {
    const local = command.replace('npx everlog', `${process.execPath} ${MAIN}`);
    const pasted = spawnSync('bash', ['-o', 'pipefail', '-c', local], { cwd, encoding: 'utf8' });
    if (pasted.status !== 0) throw new Error(`failed: ${command}\n${pasted.stderr}`);
    return pasted.stdout;
  });
  const outputOf = (word: string): string => outputs[commands.findIndex((it) => it.includes(word))] ?? '';
  expect(outputOf('everlog ls')).toContain('macos-15');
  expect(outputOf('--failed')).toContain('##[error]Process completed with exit code 1.');
  expect(outputOf('/actions/runs/')).toContain('Current runner version');
  expect(outputOf('everlog verify')).toContain('VALID');
  expect(outputOf('gunzip')).toMatch(new RegExp(`^${sha256}`));
  const metrics = /metrics +(http:\S+)/.exec(report)?.[1] ?? '';
  expect(await (await fetch(metrics)).text()).toContain('everlog_records_total');

  await expectEnd(demo, demo.kill('SIGINT'), 0);
  expect(existsSync(join(cwd, 'data/demo/1/archive/v1/records'))).toBe(true);
  // Its key is gone, so what is kept ends with a digest that says so: nothing is taken for cut off later.
  const verified = spawnSync(process.execPath, [MAIN, 'verify', '--json'], {
    cwd,
    encoding: 'utf8',
    env: { ...process.env, EVERLOG_ARCHIVE_URL: 'file:./data/demo/1/archive' },
  });
  const { summary } = z
    .object({ summary: z.object({ final: z.boolean(), findings: z.number() }) })
    .parse(JSON.parse(verified.stdout.trimEnd().split('\n').at(-1) ?? ''));
  expect(summary).toEqual({ final: true, findings: 0 });
  expect(readdirSync(join(cwd, 'data/demo/1')).sort()).toEqual(['archive', 'service.log']);
});

test('a demo that is interrupted while it runs says so by its exit code and leaves nothing behind', async () => {
  const temporary = folder();
  const demo = start(['--exit'], folder(), { TMPDIR: temporary });
  await demo.waitForLine(({ text }) => text.includes('a build that passes'), PROMISED_MS);
  await expectEnd(demo, demo.kill('SIGINT'), 130);
  expect(readdirSync(temporary)).toEqual([]);
});
