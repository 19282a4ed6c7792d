import { tmpdir } from 'node:os';
import { expect, test } from 'vitest';
import type { RecordedLog } from '../../../src/archive/record.ts';
import type { JobStep } from '../../../src/log/log-steps.ts';
import { spoolLog } from '../../../src/spool/spool.ts';
import type { ObjectStore } from '../../../src/store/object-store.ts';
import { outlineOf } from '../../../src/web/log/log-outline.ts';
import { makeArchive } from '../../support/oracles/archived-jobs.ts';
import { seededRandom } from '../../contract/fair-order.contract.ts';

/** What is found of a log by its points is what reading all of it finds. */

const START_MS = Date.parse('2020-01-20T10:00:00Z');
const SECONDS = 60;
const LINES_PER_SECOND = 400;
const KEY = 'v1/logs/host=github.com/owner=octo-org/repo=octo-repo/dt=2020-01-20/1-1-1.log.gz';
const never = new AbortController().signal;

/** Some 5 MB over a minute, with seconds without lines, lines without stamps, and what looks like the start of a step. */
function text(): Buffer {
  const random = seededRandom(7);
  const lines: string[] = [];
  for (let second = 0; second < SECONDS; second += 1) {
    if (second % 11 === 5) continue;
    const stamp = new Date(START_MS + second * 1_000).toISOString().replace('.000Z', '.1234567Z');
    for (let line = 0; line < LINES_PER_SECOND; line += 1) {
      const words = `${Math.floor(random() * 1e9)} ${'x'.repeat(Math.floor(random() * 350))}`;
      const start = line % 97 === 50 ? '##[group]Run ' : second === 31 && line === 7 ? '##[error]' : '';
      lines.push(line % 50 === 49 ? `no stamp ${words}` : `${stamp} ${start}${words}`);
    }
  }
  return Buffer.from(lines.join('\n'));
}

interface Scene {
  readonly store: ObjectStore;
  readonly log: RecordedLog;
  /** Bytes read by range so far. */
  readonly readBytes: () => number;
}

async function archived(): Promise<Scene> {
  let read = 0;
  const archive = await makeArchive();
  const bytes = text();
  const spooled = await spoolLog(
    chunksOf(bytes),
    { grow: () => undefined, release: () => undefined },
    {
      folder: tmpdir(),
      logBytesMax: 2 ** 30,
      storedBytesMax: 2 ** 30,
      temporaryName: () => `outline-${process.pid}`,
    },
  );
  if (spooled.kind !== 'spooled') throw new Error(spooled.kind);
  const { body, sha256, bytes: logBytes, lines, points } = spooled.log;
  await archive.putIfAbsent(KEY, body, { contentType: 'application/gzip', kind: 'log' });
  const log: RecordedLog = {
    key: KEY,
    version_id: null,
    sha256,
    bytes: logBytes,
    lines,
    stored_sha256: body.sha256,
    stored_bytes: body.bytes,
    encoding: 'gzip',
    points,
  };
  await spooled.log.release();
  const store: ObjectStore = Object.create(archive, {
    readRange: {
      value: async (...args: Parameters<ObjectStore['readRange']>) => {
        const found = await archive.readRange(...args);
        read += found?.bytes.length ?? 0;
        return found;
      },
    },
  });
  return { store, log, readBytes: () => read };
}

async function* chunksOf(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
}

/** Steps one after the other, some within one second, some without lines, some skipped or without an end. */
function stepsBy(random: () => number): JobStep[] {
  const steps: JobStep[] = [];
  let second = 0;
  for (let number = 1; second < SECONDS && number < 30; number += 1) {
    const lasts = random() < 0.4 ? 0 : Math.floor(random() * 15);
    const completedMs = random() < 0.1 ? null : START_MS + (second + lasts) * 1_000;
    const conclusion = random() < 0.1 ? 'skipped' : 'success';
    steps.push({
      number,
      name: `Step ${number}`,
      conclusion,
      startedMs: START_MS + second * 1_000,
      completedMs,
    });
    second += lasts + (random() < 0.5 ? 0 : 1);
  }
  return steps;
}

test('steps and last error of 20 layouts are found by points as by reading everything', async () => {
  const { store, log } = await archived();
  const whole = { ...log, points: null };
  for (let seed = 0; seed < 20; seed += 1) {
    const steps = stepsBy(seededRandom(seed));
    const outline = await outlineOf(store, log, steps, never);
    expect({ seed, outline }).toEqual({ seed, outline: await outlineOf(store, whole, steps, never) });
    expect(outline.lastError).toBeGreaterThan(10_000);
  }
});

test('of few steps, and an error behind the middle, only their blocks are read', async () => {
  const { store, log, readBytes } = await archived();
  await outlineOf(store, log, stepsBy(() => 0.99).slice(0, 1), never);
  expect(log.points?.length).toBeGreaterThan(3);
  expect(readBytes()).toBeGreaterThan(0);
  expect(readBytes()).toBeLessThan(log.stored_bytes * 0.9);
});
