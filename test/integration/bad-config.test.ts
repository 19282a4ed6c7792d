import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { openStage, type Environment } from '../support/harness/everlog-under-test.ts';
import { spawnEverlog } from '../support/processes/processes.ts';

/** Mistakes in the environment: every one is told at once, with its variable, and the process exits 2. */
const stage = openStage();
const END_TIMEOUT_MS = 60_000;
const SECRET = 'hunter2-is-not-to-be-shown';
const PRIVATE_KEY = generateKeyPairSync('rsa', { modulusLength: 2048 })
  .privateKey.export({ type: 'pkcs1', format: 'pem' })
  .toString();
/** Enough for every command, so that a case adds only its own mistake. */
const GOOD: Environment = {
  EVERLOG_GITHUB_APP_ID: '1',
  EVERLOG_GITHUB_PRIVATE_KEY: PRIVATE_KEY,
  EVERLOG_GITHUB_WEBHOOK_SECRET: SECRET,
  EVERLOG_QUEUE_URL: `redis://:${SECRET}@127.0.0.1:9/0`,
  EVERLOG_LISTEN: 'off',
  EVERLOG_ADMIN_LISTEN: 'off',
};
const folder = stage.folder();

afterAll(() => stage.close());

interface Ended {
  readonly code: number | null;
  readonly output: string;
  /** One line of each problem. */
  readonly problems: readonly string[];
}

async function run(command: string, env: Environment): Promise<Ended> {
  const child = spawnEverlog(command.split(' '), env, { cwd: folder });
  stage.defer(() => child.kill('SIGKILL'));
  const { code } = await child.exited;
  expect(child.stdout()).toBe('');
  const output = child.stderr();
  return { code, output, problems: output.split('\n').filter((line) => line.startsWith('  - ')) };
}

/** Runs a command that must be refused, and checks what no refusal may do. */
async function refusal(command: string, env: Environment): Promise<readonly string[]> {
  const { code, output, problems } = await run(command, env);
  expect({ code, output }).toEqual({ code: 2, output });
  expect(output).not.toMatch(/\n\s+at |node:internal|Error:/);
  expect(output).not.toContain(SECRET);
  expect(output).not.toContain(PRIVATE_KEY.split('\n')[1]);
  return problems;
}

describe.each(['up', 'serve', 'work', 'work --only archive'])(
  '%s',
  { timeout: END_TIMEOUT_MS },
  (command) => {
    test('tells every problem at once', async () => {
      const problems = await refusal(command, {
        ...GOOD,
        EVERLOG_GITHUB_API_URL: 'ftp://github.example',
        EVERLOG_GITHUB_APP_ID: 'my-app',
        EVERLOG_GITHUB_PRIVATE_KEY: SECRET,
        EVERLOG_GITHUB_PRIVATE_CIDRS: '10.0.0.0/33',
        EVERLOG_GITHUB_LOG_HOSTS: 'https://logs.example/',
        EVERLOG_QUEUE_URL: `amqp://${SECRET}@queue`,
        EVERLOG_ARCHIVE_URL: 's3://',
        EVERLOG_LOCK_MODE: 'COMPLIANCE',
        EVERLOG_MISSING_LOG_RETRIES: '10s,soon',
        EVERLOG_GITHUB_LOG_RETENTION: '90',
        EVERLOG_SPOOL_MAX_BYTES: '4GB',
        EVERLOG_CONCURRENCY: '0',
        EVERLOG_LISTEN: 'here',
        EVERLOG_JOB_DETAILS: 'sometimes',
        EVERLOG_LOG_LEVEL: 'loud',
        EVERLOG_ALLOW_UNSAFE_QUEUE: 'perhaps',
      });
      const named = problems.map((problem) => /EVERLOG_\w+/.exec(problem)?.[0]);
      expect(named).toEqual(
        expect.arrayContaining([
          'EVERLOG_GITHUB_API_URL',
          'EVERLOG_GITHUB_APP_ID',
          'EVERLOG_GITHUB_PRIVATE_KEY',
          'EVERLOG_GITHUB_PRIVATE_CIDRS',
          'EVERLOG_GITHUB_LOG_HOSTS',
          'EVERLOG_QUEUE_URL',
          'EVERLOG_ARCHIVE_URL',
          'EVERLOG_RETENTION_DAYS',
          'EVERLOG_MISSING_LOG_RETRIES',
          'EVERLOG_GITHUB_LOG_RETENTION',
          'EVERLOG_SPOOL_MAX_BYTES',
          'EVERLOG_CONCURRENCY',
          'EVERLOG_LISTEN',
          'EVERLOG_JOB_DETAILS',
          'EVERLOG_LOG_LEVEL',
          'EVERLOG_ALLOW_UNSAFE_QUEUE',
        ]),
      );
    });

    test('refuses a secret given twice, and a secret file that cannot be read', async () => {
      const file = join(folder, 'secret');
      writeFileSync(file, SECRET);
      const problems = await refusal(command, {
        ...GOOD,
        EVERLOG_GITHUB_WEBHOOK_SECRET_FILE: file,
        EVERLOG_GITHUB_PRIVATE_KEY: '',
        EVERLOG_GITHUB_PRIVATE_KEY_FILE: join(folder, 'nowhere.pem'),
      });
      expect(problems.join('\n')).toMatch(
        /EVERLOG_GITHUB_WEBHOOK_SECRET .*EVERLOG_GITHUB_WEBHOOK_SECRET_FILE/,
      );
      expect(problems.join('\n')).toMatch(/EVERLOG_GITHUB_PRIVATE_KEY_FILE .*cannot be read.*nowhere\.pem/);
    });
  },
);

test.each([
  ['serve', ['EVERLOG_QUEUE_URL', 'EVERLOG_GITHUB_WEBHOOK_SECRET']],
  ['work', ['EVERLOG_QUEUE_URL', 'EVERLOG_GITHUB_APP_ID']],
  ['up', ['EVERLOG_GITHUB_WEBHOOK_SECRET', 'EVERLOG_GITHUB_APP_ID']],
])(
  '%s without any configuration names what it cannot do without',
  async (command, expected) => {
    const problems = await refusal(command, {});
    expect(problems.map((problem) => /EVERLOG_\w+/.exec(problem)?.[0])).toEqual(expected);
    const hint = problems.join('\n').includes('everlog up');
    expect(hint).toBe(command !== 'up');
  },
  END_TIMEOUT_MS,
);

test(
  'an App id without its key is enough to receive, and who calls GitHub says what is missing',
  async () => {
    const { EVERLOG_GITHUB_PRIVATE_KEY: _, ...keyless } = GOOD;
    expect(await refusal('work', keyless)).toEqual([
      '  - EVERLOG_GITHUB_PRIVATE_KEY is missing: it goes with EVERLOG_GITHUB_APP_ID',
    ]);
    expect(await refusal('serve', { ...keyless, EVERLOG_GITHUB_APP_ID: 'my-app' })).toEqual([
      expect.stringContaining('EVERLOG_GITHUB_APP_ID is not a number'),
    ]);
  },
  END_TIMEOUT_MS,
);

test(
  'locks that a folder cannot keep are refused, not ignored',
  async () => {
    const locks = { EVERLOG_LOCK_MODE: 'GOVERNANCE', EVERLOG_RETENTION_DAYS: '5' };
    for (const command of ['up', 'work'])
      expect(await refusal(command, { ...GOOD, ...locks })).toEqual([
        expect.stringMatching(/EVERLOG_LOCK_MODE .*EVERLOG_ARCHIVE_URL names a folder/),
      ]);
  },
  END_TIMEOUT_MS,
);

test(
  'a YAML file with mistakes names the place of each, and never shows a secret',
  async () => {
    const file = join(folder, 'hosts.yaml');
    writeFileSync(
      file,
      `hosts:
  - name: one
    api_url: https://ghes.example/api/v3
    token: ${SECRET}
    webhook_secret: ${SECRET}
    colour: red
  - name: "two words"
    private_cidrs: [10.0.0.0/40]
  - name: three
`,
    );
    const problems = await refusal('serve', {
      EVERLOG_QUEUE_URL: 'redis://127.0.0.1:9',
      EVERLOG_CONFIG: file,
    });
    expect(problems.join('\n')).toMatch(/hosts\.0.*colour/);
    expect(problems.join('\n')).toMatch(/hosts\.1\.name/);
    expect(problems.join('\n')).toMatch(/hosts\.1\.private_cidrs\.0/);
    // A mistake in one host hides none of another.
    expect(problems.join('\n')).toMatch(/host three, webhook_secret is missing/);
  },
  END_TIMEOUT_MS,
);

test(
  'a wrong command line exits 2 with what is wrong',
  async () => {
    for (const command of ['wrok', 'work --only nothing', 'serve --port 3000']) {
      const { code, output } = await run(command, GOOD);
      expect({ command, code }).toEqual({ command, code: 2 });
      expect(output).toMatch(/error: /);
      expect(output).not.toMatch(/\n\s+at /);
    }
  },
  END_TIMEOUT_MS,
);
