import { execFile } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { request } from 'undici';
import { atLeast, compared, type Finding } from '../findings.ts';
import { firstIdOf, type LogBytes } from './log-sizes.ts';
import { interleaved, type Extent } from '../rounds.ts';
import { textOf, type Stage } from '../stage.ts';
import type { Workplace } from './work.ts';

/** The worker's way from a log to its gzip bytes, hashed and counted, beside compressors that do nothing else. */

const run = promisify(execFile);
const MEGABYTE = 1_000_000;
const LARGE_BYTES = 100_000_000;

export async function logPipeline(stage: Stage, place: Workplace, extent: Extent): Promise<Finding[]> {
  const medium = extent.scaled(100, 40);
  const mediumFile = await downloaded(stage, place, MEGABYTE, medium);
  const largeFile = await downloaded(stage, place, LARGE_BYTES, 1);
  const everlog = async (file: string, logBytes: number, atOnce: number): Promise<number> => {
    const args = [file, String(logBytes), String(atOnce)];
    return Number(textOf(await stage.script('anywhere', 'pipeline-process.ts', args), 'seconds'));
  };
  const contestants = {
    medium: async () => medium / (await everlog(mediumFile, MEGABYTE, 8)),
    pigz: async () => medium / (await compressing('pigz', ['-6', '-p2'], mediumFile)),
    large: async () => 100 / (await everlog(largeFile, LARGE_BYTES, 1)),
    six: async () => 100 / (await compressing('gzip', ['-6'], largeFile)),
    one: async () => 100 / (await compressing('gzip', ['-1'], largeFile)),
  };
  const of = await interleaved(extent.rounds, contestants);
  const limit = { unit: 'MB/s', against: 'limit' } as const;
  const large = { ...limit, what: 'one 100 MB log to gzip', everlog: of('large') };
  return [
    compared({
      ...limit,
      what: '1 MB logs to gzip, 8 at once',
      everlog: of('medium'),
      name: 'pigz -p2 -6',
      theirs: of('pigz'),
      target: atLeast(1),
    }),
    compared({ ...large, name: 'gzip -6', theirs: of('six'), target: atLeast(1.15) }),
    compared({ ...large, name: 'gzip -1', theirs: of('one') }),
  ];
}

/** Logs of a size, one behind the other, in a file. */
async function downloaded(
  stage: Stage,
  place: Workplace,
  logBytes: LogBytes,
  count: number,
): Promise<string> {
  const path = join(stage.folder(), 'logs');
  for (let log = 0; log < count; log += 1) {
    const answer = await request(`${place.githubOrigin}/log/${firstIdOf(logBytes)}`);
    await pipeline(answer.body, createWriteStream(path, { flags: 'a' }));
  }
  return path;
}

/** Seconds that a compressor takes from a file to nowhere. */
async function compressing(command: string, args: readonly string[], file: string): Promise<number> {
  const startMs = performance.now();
  // Not pinned to where the benchmark itself stands aside.
  await run('sh', [
    '-c',
    'taskset -cp "$(cat /sys/devices/system/cpu/online)" $$ >/dev/null; exec "$@" >/dev/null',
    'sh',
    command,
    '-c',
    ...args,
    file,
  ]);
  return (performance.now() - startMs) / 1000;
}
