import { expect, test } from 'vitest';
import { tmpdir } from 'node:os';
import { partOf } from '../../../src/log/log-parts.ts';
import { runCat, type CatOptions } from '../../../src/cli/read/cat.ts';
import type { JobRecord } from '../../../src/archive/record.ts';
import { spoolLog } from '../../../src/spool/spool.ts';
import type { ObjectStore } from '../../../src/store/object-store.ts';
import { makeArchive, makeRecord, storeRecord } from '../../support/oracles/archived-jobs.ts';
import { readingDeps, SCREEN } from '../../support/harness/terminal-under-test.ts';

const START_MS = Date.parse('2020-01-20T10:00:00Z');
const LINES_PER_SECOND = 500;
const SECONDS = 120;
const KEY = 'v1/logs/host=github.com/owner=octo-org/repo=octo-repo/dt=2020-01-20/29679449-1-399444496.log.gz';

function iso(second: number): string {
  return new Date(START_MS + second * 1_000).toISOString().replace('.000Z', 'Z');
}

/** Five steps of 24 seconds, some 12 MB of text that compresses to a few. */
const STEPS = [0, 1, 2, 3, 4].map((index) => ({
  number: index + 1,
  name: `Step ${index + 1}`,
  conclusion: index === 3 ? 'failure' : 'success',
  started_at: iso(index * 24),
  completed_at: iso(index * 24 + 23),
}));

function text(): Buffer {
  const lines: string[] = [];
  let state = 1;
  for (let second = 0; second < SECONDS; second += 1) {
    const stamp = iso(second).replace('Z', '.1234567Z');
    for (let line = 0; line < LINES_PER_SECOND; line += 1) {
      state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
      lines.push(
        line % 50 === 49
          ? `no stamp ${state}`
          : `${stamp} ${state} ${'x'.repeat(state % 200)} ${second}:${line}`,
      );
    }
  }
  return Buffer.from(`${lines.join('\n')}\n`);
}

async function archived(): Promise<{ store: ObjectStore; record: JobRecord; readBytes: () => number }> {
  const store = await makeArchive();
  const log = text();
  async function* chunks(): AsyncGenerator<Buffer> {
    for (let at = 0; at < log.length; at += 65_536) yield log.subarray(at, at + 65_536);
  }
  const limits = {
    folder: tmpdir(),
    logBytesMax: 2 ** 30,
    storedBytesMax: 2 ** 30,
    temporaryName: () => `parts-${process.pid}`,
  };
  const spooled = await spoolLog(chunks(), { grow: () => undefined, release: () => undefined }, limits);
  if (spooled.kind !== 'spooled') throw new Error(spooled.kind);
  const { body, sha256, bytes, lines, points } = spooled.log;
  await store.putIfAbsent(KEY, body, { contentType: 'application/gzip', kind: 'log' });
  await spooled.log.release();
  const record = makeRecord({
    conclusion: 'failure',
    job: { steps: STEPS },
    log: {
      key: KEY,
      version_id: null,
      sha256,
      bytes,
      lines,
      stored_sha256: body.sha256,
      stored_bytes: body.bytes,
      encoding: 'gzip',
      points,
    },
  });
  await storeRecord(store, record);
  let read = 0;
  const counting: ObjectStore = Object.create(store, {
    readRange: {
      value: async (...args: Parameters<ObjectStore['readRange']>) => {
        const answer = await store.readRange(...args);
        read += answer?.bytes.length ?? 0;
        return answer;
      },
    },
  });
  return { store: counting, record, readBytes: () => read };
}

async function cat(store: ObjectStore, options: CatOptions) {
  const deps = readingDeps(store, SCREEN);
  const exit = await runCat(deps, '399444496', { ...options, raw: true });
  return { exit, out: deps.stdout.text(), err: deps.stderr.text() };
}

test.each<[string, CatOptions]>([
  ['a step in the middle', { step: '3' }],
  ['the first step', { step: '1' }],
  ['the last step', { step: 'Step 5' }],
  ['failed steps', { failed: true }],
  ['lines', { lines: '20000-20010' }],
  ['the last lines', { tail: '7' }],
  ['the last lines of a step', { step: '2', tail: '5' }],
  ['lines up to the end', { lines: '59990-' }],
])('%s are the same whether all of the log or a part of it is read', async (_name, options) => {
  const { store, record, readBytes } = await archived();
  const part = await cat(store, options);
  const { log } = record;
  if (log === null) throw new Error('the job has a log');
  expect(part.err).toMatch(/verified ✓ SHA-256 of the \d+ blocks read, of \d+/);
  expect(readBytes()).toBeGreaterThan(0);
  expect(readBytes()).toBeLessThan(log.stored_bytes * (options.tail === undefined ? 0.5 : 0.9));
  await storeRecord(store, { ...record, revision: 2, log: { ...log, points: null } });
  const whole = await cat(store, options);
  expect(whole.err).toContain(`verified ✓ SHA-256 ${log.sha256}`);
  expect([part.exit, part.out]).toEqual([whole.exit, whole.out]);
});

test('a block that is not the recorded one is a finding', async () => {
  const { store, record } = await archived();
  const { log } = record;
  if (log === null) throw new Error('the job has a log');
  const points = (log.points ?? []).map((point, index) =>
    index === 3 ? ([point[0], point[1], point[2], point[3], '0'.repeat(64)] as const) : point,
  );
  await storeRecord(store, { ...record, revision: 2, log: { ...log, points } });
  const answer = await cat(store, { step: '3' });
  expect(answer.exit).toBe(4);
  expect(answer.err).toContain('has a block 3 that is not the recorded one');
});

test('no part is read where stamps go back, times are not known, or all is wanted', () => {
  const log = {
    key: KEY,
    version_id: null,
    sha256: '',
    bytes: 3,
    lines: 3,
    stored_sha256: '',
    stored_bytes: 30,
    encoding: 'gzip',
    points: [
      [0, 10, 1, 5, ''],
      [1, 15, 2, 9, ''],
      [2, 20, 3, 20, ''],
    ] as const,
  };
  const step = { number: 1, name: 's', conclusion: 'success', startedMs: 10_000, completedMs: 11_000 };
  const pointsBack = [
    [0, 10, 1, 30, ''],
    [1, 15, 2, 9, ''],
    [2, 20, 3, 20, ''],
  ] as const;
  expect(partOf(log, { lines: null, steps: [step] })).toEqual({ from: 1, to: 2, firstLine: 2 });
  expect(partOf({ ...log, points: pointsBack }, { lines: null, steps: [step] })).toBeNull();
  expect(partOf(log, { lines: null, steps: [{ ...step, completedMs: null }] })).toBeNull();
  expect(partOf(log, { lines: { from: 1, to: Infinity }, steps: null })).toBeNull();
  expect(partOf(log, { lines: null, steps: null })).toBeNull();
  expect(partOf(log, { lines: { from: 3, to: 3 }, steps: null })).toEqual({ from: 2, to: 3, firstLine: 3 });
});
