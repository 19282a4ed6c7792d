import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { messageOf } from '../../../src/errors.ts';
import { DatabaseRefusal } from '../../../src/queue/embedded/open-database.ts';
import { demandRuined } from '../../../src/queue/embedded/set-aside.ts';

let data: string;
beforeAll(async () => {
  data = await mkdtemp(join(tmpdir(), 'everlog-set-aside-'));
});
afterAll(() => rm(data, { recursive: true, force: true }));

const died = new Error('Aborted(). Build with -sASSERTIONS for more info.');
/** An error of Postgres for one statement. */
const failed = (code: string, message: string): Error => Object.assign(new Error(message), { code });

/** `ruined`, or the words of the refusal to believe that. */
async function judged(said: readonly string[], cause: unknown): Promise<string> {
  return demandRuined(data, new DatabaseRefusal(said, cause)).then(() => 'ruined', messageOf);
}

test.each([
  [['PANIC:  could not write to log file "0001" at offset 8609792: File too large'], died, 'ulimit -f'],
  [['FATAL:  could not extend file "base/5/1259": Quota exceeded'], died, 'raise the quota'],
  [[], failed('53100', 'could not extend file "base/5/16754": No space left on device'), 'free space'],
  [[], failed('XX000', 'could not extend file "base/5/16754": File too large'), 'ulimit -f'],
  [[], failed('EDQUOT', 'EDQUOT: disk quota exceeded, write'), 'raise the quota'],
  [['PANIC:  could not open file "pg_xact/0000": No file descriptors available'], died, 'ulimit -n'],
  [['FATAL:  could not create directory "pg_wal/x": Permission denied'], died, 'the rights'],
  [['PANIC:  could not read file "global/pg_control": I/O error'], died, 'mend the disk'],
  [[], new Error('WebAssembly.Memory(): could not allocate memory'), 'give the process more'],
  [['FATAL:  could not create file "postmaster.pid": Read-only file system'], died, 'mount it'],
])('%j %s is what the machine lacks', async (said, cause, cure) => {
  const refusal = await judged(said, cause);
  expect(refusal).toContain('the jobs in it are kept');
  expect(refusal).toContain(cure);
});

test.each([
  [['FATAL:  configuration file "/pglite/data/postgresql.conf" contains errors'], new Error('failed')],
  [[], died],
  [[], failed('42P07', 'relation "job" already exists')],
])('%j %s says nothing of a ruin', async (said, cause) => {
  expect(await judged(said, cause)).toContain('is kept, as nothing says that it is ruined');
});

test.each([
  [['FATAL:  invalid page in block 0 of relation "base/5/1259"'], died],
  [['PANIC:  could not locate a valid checkpoint record at 0/1836A58'], died],
  [
    ['FATAL:  database "postgres" does not exist', 'DETAIL:  The database subdirectory "base/5" is missing.'],
    died,
  ],
  [['FATAL:  "base/5" is not a valid data directory', 'HINT:  You might need to initdb.'], died],
  [[], failed('XX001', 'missing chunk number 0 for toast value 16')],
  [[], failed('58P01', 'could not open file "base/5/16754": No such file or directory')],
])('%j %s says that it is ruined', async (said, cause) => {
  expect(await judged(said, cause)).toBe('ruined');
});
