import { PGlite } from '@electric-sql/pglite';
import { createPostgresBackend, isPgPool, withBackend } from 'bullmq';
import { once } from 'node:events';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Log } from '../../src/logger.ts';
import { lockFolder } from '../../src/queue/embedded/folder-lock.ts';
import {
  EMBEDDED_POSTGRES_MAJOR,
  openEmbeddedPostgres,
  type EmbeddedPostgres,
} from '../../src/queue/embedded/embedded-postgres.ts';
import { spawnManaged, temporaryFolder, type ManagedProcess } from '../support/processes/processes.ts';

const { Queue, Worker } = withBackend(createPostgresBackend);
const OWNER_PROCESS = resolve(import.meta.dirname, '../support/processes/embedded-queue-process.ts');
const FOLDER_LOCK = resolve(import.meta.dirname, '../../src/queue/embedded/folder-lock.ts');
/** A first start takes seconds, more on a busy machine. */
const START_LIMIT_MS = 30_000;
/** Longer than PGlite may take, shorter than BullMQ's own polling (10 s). */
const WAKE_LIMIT_MS = 5000;

const owned: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const end of owned.splice(0).toReversed()) await end();
});

/** Keeps what was logged, as `level message`. */
function recordingLog(lines: string[] = []): Log & { lines: string[] } {
  const at = (level: string) => (_fields: Record<string, unknown>, message: string) => {
    lines.push(`${level} ${message}`);
  };
  const log: Log = {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: () => log,
  };
  return { ...log, lines };
}

async function open(folder: string, log: Log = recordingLog()): Promise<EmbeddedPostgres> {
  const embedded = await openEmbeddedPostgres({ folder, log });
  owned.push(async () => embedded.close());
  return embedded;
}

function ownerProcess(folder: string, ...counts: number[]): ManagedProcess {
  const child = spawnManaged(process.execPath, [
    '--import',
    'tsx',
    OWNER_PROCESS,
    folder,
    ...counts.map(String),
  ]);
  owned.push(async () => child.kill('SIGKILL'));
  return child;
}

/** An owner that can make no file longer than `bytes`. */
function limitedProcess(folder: string, bytes: number): ManagedProcess {
  const owner = [process.execPath, '--import', 'tsx', OWNER_PROCESS, folder];
  const child = spawnManaged('prlimit', [`--fsize=${bytes}`, '--', ...owner]);
  owned.push(async () => child.kill('SIGKILL'));
  return child;
}

/** The child that holds our lock: `cat`, for a moment still the `sh` that becomes it. */
function lockHolder(): number {
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8')
    .trim()
    .split(' ')
    .map(Number);
  const holders = children.filter((child) =>
    ['cat', 'sh'].includes(readFileSync(`/proc/${child}/comm`, 'utf8').trim()),
  );
  const [holder] = holders;
  if (holder === undefined || holders.length > 1) throw new Error(`${holders.length} lock holders, not one`);
  return holder;
}

describe('the lock on a folder', () => {
  test('makes the folder private, refuses a second owner by name, and is free again after release', async () => {
    const folder = join(temporaryFolder(), 'deep', 'queue');
    const lock = await lockFolder(folder);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    await expect(lockFolder(folder)).rejects.toMatchObject({
      code: 'queue_locked',
      remedy: { kind: 'give_up' },
      message: expect.stringMatching(
        new RegExp(`${folder} belongs to process ${process.pid} on .* since 20.*EVERLOG_QUEUE_URL`),
      ),
    });
    await lock.release();
    await lock.release();
    await (await lockFolder(folder)).release();
  });

  test('outlives the signals of a terminal or supervisor, and says so when it is lost all the same', async () => {
    const lock = await lockFolder(temporaryFolder());
    owned.push(async () => lock.release());
    const holder = lockHolder();
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.kill(holder, signal);
    expect(lockHolder()).toBe(holder);
    process.kill(holder, 'SIGKILL');
    await lock.lost;
  });

  test('does not keep a finished process alive', async () => {
    const script = `import { lockFolder } from ${JSON.stringify(FOLDER_LOCK)}; await lockFolder(process.argv[1]);`;
    const folder = temporaryFolder();
    const flags = ['--import', 'tsx', '--input-type=module', '-e', script];
    const child = spawnManaged(process.execPath, [...flags, folder]);
    owned.push(async () => child.kill('SIGKILL'));
    expect(await child.exited).toEqual({ code: 0, signal: null });
    await (await lockFolder(folder)).release();
  });

  test('names the missing program', async () => {
    vi.stubEnv('PATH', '/nonexistent');
    owned.push(async () => vi.unstubAllEnvs());
    await expect(lockFolder(temporaryFolder())).rejects.toMatchObject({
      code: 'queue_unavailable',
      message: expect.stringContaining('install util-linux'),
    });
  });
});

describe('an owner that is killed', () => {
  test('kept the folder to itself, loses no acknowledged job, and its running jobs go on first', async () => {
    const folder = temporaryFolder();
    const owner = ownerProcess(folder, 20, 4);
    await owner.waitForLine((line) => line.json?.['ready'] === true, START_LIMIT_MS);

    await expect(openEmbeddedPostgres({ folder, log: recordingLog() })).rejects.toMatchObject({
      code: 'queue_locked',
      message: expect.stringContaining(`belongs to process ${owner.pid} on `),
    });

    const killed = owner.kill('SIGKILL');
    const embedded = await open(folder);
    await killed;
    const connection = embedded.pool;
    const queue = new Queue('held', { connection });
    expect(await queue.getJobCounts('active', 'waiting')).toEqual({ active: 4, waiting: 16 });
    expect(await embedded.recoverInterrupted({ maxStalledCount: 5 })).toBe(4);
    expect(await embedded.recoverInterrupted({ maxStalledCount: 5 })).toBe(0);

    const order: (string | undefined)[] = [];
    const worker = new Worker('held', async (job) => order.push(job.id), { connection });
    while (order.length < 20) await once(worker, 'completed', { signal: AbortSignal.timeout(WAKE_LIMIT_MS) });
    expect(order).toEqual(Array.from({ length: 20 }, (_, index) => `job-${index}`));
    await worker.close();
    await queue.close();
  }, 60_000);
});

describe('a folder that cannot be used', () => {
  test('made by another Postgres is set aside, loudly, and an empty queue begins', async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'postgres'));
    writeFileSync(join(folder, 'postgres', 'PG_VERSION'), '9\n');
    const log = recordingLog();
    const embedded = await open(folder, log);
    expect(log.lines).toEqual([expect.stringMatching(/^error .*set aside.*reconcile/)]);
    expect(readdirSync(folder).toSorted()).toEqual([
      'lock',
      'postgres',
      expect.stringMatching(/^postgres\.set-aside-/),
    ]);
    expect(readFileSync(join(folder, 'postgres', 'PG_VERSION'), 'utf8').trim()).toBe(EMBEDDED_POSTGRES_MAJOR);
    const { rows } = await embedded.pool.query<{ jobs: string }>('SELECT count(*) AS jobs FROM job');
    expect(rows).toEqual([{ jobs: '0' }]);
  }, 60_000);

  test('with a file that cannot be read is left as it is, and says which', async () => {
    const folder = temporaryFolder();
    const begun = await openEmbeddedPostgres({ folder, log: recordingLog() });
    await begun.pool.query(`INSERT INTO meta (queue, field, value) VALUES ('a', 'kept', '1')`);
    await begun.close();
    for (const file of ['PG_VERSION', 'global/pg_control']) {
      const path = join(folder, 'postgres', file);
      renameSync(path, `${path}.whole`);
      // Nobody can read it, root neither.
      symlinkSync(path, path);
      const log = recordingLog();
      await expect(openEmbeddedPostgres({ folder, log })).rejects.toMatchObject({
        code: 'queue_unavailable',
        remedy: { kind: 'give_up' },
        message: expect.stringMatching(new RegExp(`${path} cannot be read.*jobs in it are kept`)),
      });
      expect(log.lines).toEqual([]);
      renameSync(`${path}.whole`, path);
    }
    const mended = await open(folder);
    const { rows } = await mended.pool.query(`SELECT value FROM meta WHERE field = 'kept'`);
    expect(rows).toEqual([{ value: '1' }]);
  }, 60_000);

  test('is kept where the machine lacks something, another version made it, or nobody knows why', async () => {
    const folder = temporaryFolder();
    const begun = await openEmbeddedPostgres({ folder, log: recordingLog() });
    await begun.pool.query(`INSERT INTO meta (queue, field, value) VALUES ('a', 'kept', '1')`);
    await begun.close();

    for (const place of [folder, temporaryFolder()]) {
      const child = limitedProcess(place, 8 * 1024 * 1024);
      expect((await child.exited).code).toBe(1);
      expect(child.stderr()).toMatch(
        /limit on the size of files .*EFBIG.*jobs in it are kept: raise it \(ulimit -f/,
      );
    }
    expect(readdirSync(folder).toSorted()).toEqual(['lock', 'postgres']);

    const refusalAfter = async (statement: string): Promise<string> => {
      const opened = await openEmbeddedPostgres({ folder, log: recordingLog() });
      await opened.pool.query(statement);
      await opened.close();
      const log = recordingLog();
      const refusal: unknown = await openEmbeddedPostgres({ folder, log }).catch((error: unknown) => error);
      expect(refusal).toMatchObject({ code: 'queue_unavailable', remedy: { kind: 'give_up' } });
      expect(log.lines).toEqual([]);
      return String(refusal);
    };
    expect(await refusalAfter('UPDATE migration SET min_client_version = 99')).toMatch(
      /made by a newer version/,
    );
    const mended = await PGlite.create(join(folder, 'postgres'));
    await mended.exec('UPDATE bullmq.migration SET min_client_version = 6');
    await mended.close();
    const unknown = await refusalAfter('ALTER TABLE migration RENAME TO elsewhere');
    expect(unknown).toMatch(/already exists.* is kept, as nothing says that it is ruined/);
    expect(unknown).not.toMatch(/version/);
    expect(readdirSync(folder).toSorted()).toEqual(['lock', 'postgres']);
  }, 60_000);

  test('is set aside with what Postgres says of its ruin', async () => {
    const folder = temporaryFolder();
    await (await openEmbeddedPostgres({ folder, log: recordingLog() })).close();
    writeFileSync(join(folder, 'postgres', 'global', 'pg_control'), '');
    const reasons: unknown[] = [];
    const log = recordingLog();
    await open(folder, { ...log, error: (fields) => reasons.push(fields['reason']) });
    expect(reasons).toEqual([
      expect.stringMatching(/^it cannot be opened: .*PANIC: {2}could not read file "global\/pg_control"/),
    ]);
  }, 60_000);

  test('ruined ones are set aside too, but not without end', async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'postgres'));
    writeFileSync(join(folder, 'postgres', 'PG_VERSION'), `${EMBEDDED_POSTGRES_MAJOR}\n`);
    for (let index = 0; index < 10; index += 1) mkdirSync(join(folder, `postgres.set-aside-${index}`));
    await expect(openEmbeddedPostgres({ folder, log: recordingLog() })).rejects.toMatchObject({
      code: 'queue_unavailable',
      message: expect.stringMatching(/cannot be opened.*10 earlier ones/),
    });
    await (await lockFolder(folder)).release();
  }, 60_000);
});

describe('an open queue', () => {
  const log = recordingLog();
  let embedded: EmbeddedPostgres;

  beforeAll(async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'postgres'));
    writeFileSync(join(folder, 'postgres', 'PG_VERSION'), EMBEDDED_POSTGRES_MAJOR);
    writeFileSync(join(folder, 'postgres.unfinished'), '');
    embedded = await openEmbeddedPostgres({ folder, log });
  }, 60_000);

  afterAll(async () => {
    await embedded.close();
  });

  test('begins anew, without a word, what an interrupted first start left', async () => {
    expect(log.lines).toEqual([]);
    expect((await embedded.pool.query('SELECT count(*)::int AS jobs FROM job')).rows).toEqual([{ jobs: 0 }]);
  });

  test('gives BullMQ what node-postgres would', async () => {
    expect(isPgPool(embedded.pool)).toBe(true);
    const { rows } = await embedded.pool.query(
      `SELECT 9007199254740993::bigint AS big, 1::int AS small, $1::jsonb AS doc, ARRAY[1, 2]::bigint[] AS bigs,
              to_timestamp(0) AS at, NULL AS nothing, $2::text[] AS names`,
      ['{"a":[1]}', ['x', 'y']],
    );
    expect(rows).toEqual([
      {
        big: '9007199254740993',
        small: 1,
        doc: { a: [1] },
        bigs: ['1', '2'],
        at: new Date(0),
        nothing: null,
        names: ['x', 'y'],
      },
    ]);
  });

  test('a transaction keeps others out until it ends, also when its client is just released', async () => {
    const client = await embedded.pool.connect();
    await client.query('CREATE TABLE seen (mark text)');
    await client.query('BEGIN');
    await client.query(`INSERT INTO seen VALUES ('in the transaction')`);
    const events: string[] = [];
    const other = embedded.pool.query<{ mark: string }>('SELECT mark FROM seen').then(({ rows }) => {
      events.push('other');
      return rows;
    });
    await client.query('SELECT 1');
    events.push('released');
    client.release();
    expect(await other).toEqual([]);
    expect(events).toEqual(['released', 'other']);
    await expect(client.query('SELECT 1')).rejects.toThrow('released');
  });

  test('a failed statement in a transaction leaves the queue usable', async () => {
    const client = await embedded.pool.connect();
    await client.query('BEGIN');
    await expect(client.query('SELECT nonsense')).rejects.toMatchObject({ code: '42703' });
    await client.query('ROLLBACK');
    client.release();
    expect((await embedded.pool.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  });

  test('tells only the clients that listen', async () => {
    const [listening, deaf] = [await embedded.pool.connect(), await embedded.pool.connect()];
    const heard: unknown[] = [];
    deaf.on('notification', () => heard.push('deaf'));
    listening.on('notification', (message) => heard.push(message));
    await listening.query('-- a comment\nLISTEN news;\n');
    await embedded.pool.query(`SELECT pg_notify('news', 'first')`);
    await listening.query('UNLISTEN news');
    await embedded.pool.query(`SELECT pg_notify('news', 'second')`);
    expect(heard).toEqual([{ channel: 'news', payload: 'first' }]);
    listening.release();
    deaf.release();
  });

  test('wakes a waiting worker at once, and a failure quoting NUL is recorded', async () => {
    const connection = embedded.pool;
    const queue = new Queue('wake', { connection });
    const fail = async (): Promise<void> => {
      throw new Error('a \0 and \uD800');
    };
    const worker = new Worker('wake', fail, { connection, drainDelay: 60 });
    const idle = once(worker, 'drained', { signal: AbortSignal.timeout(WAKE_LIMIT_MS) });
    await queue.add('first', {});
    await idle;
    const failed = once(worker, 'failed', { signal: AbortSignal.timeout(WAKE_LIMIT_MS) });
    const job = await queue.add('quote', { text: 'x\0y', path: String.raw`C:\u0000` });
    await failed;
    const stored = await queue.getJob(job.id ?? '');
    expect(stored?.failedReason).toBe('a \uFFFD and \uFFFD');
    expect(stored?.data).toEqual({ text: 'x\uFFFDy', path: String.raw`C:\u0000` });
    await worker.close();
    await queue.close();
  }, 20_000);

  test('lets timers run while it is busy', async () => {
    const queue = new Queue('busy', { connection: embedded.pool });
    let ticks = 0;
    const timer = setInterval(() => {
      ticks += 1;
    }, 1);
    await Promise.all(Array.from({ length: 300 }, async (_, index) => queue.add('job', { index })));
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(5);
    await queue.close();
  }, 20_000);

  test('refuses everything once its lock is lost, without letting a worker spin', async () => {
    const worker = new Worker('lost', async () => undefined, { connection: embedded.pool, drainDelay: 0.01 });
    let errors = 0;
    const firstError = new Promise<void>((resolve) => {
      worker.on('error', () => {
        errors += 1;
        resolve();
      });
    });
    await worker.waitUntilReady();
    process.kill(lockHolder(), 'SIGKILL');
    await embedded.lost;
    await expect(embedded.pool.query('SELECT 1')).rejects.toMatchObject({ code: 'queue_locked' });
    await firstError;
    expect(errors).toBeLessThan(10);
    await worker.close(true);
  }, 20_000);
});
