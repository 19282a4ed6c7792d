/**
 * The worker's own way from a log to compressed, hashed and checked bytes, without GitHub and without a store:
 * `pipeline-process.ts FILE LOG_BYTES AT_ONCE`. Cuts the file into logs, spools them, and prints the seconds in a line of JSON.
 */
import { randomUUID } from 'node:crypto';
import { createReadStream, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { performance } from 'node:perf_hooks';
import { openSpool } from '../../../src/spool/spool-space.ts';
import { spoolLog } from '../../../src/spool/spool.ts';

const SPOOL_BYTES = 4 * 1024 * 1024 * 1024;
const RESERVED_BYTES = 64 * 1024 * 1024;
/** A log's first bytes have the code compiled before the clock starts. */
const WARM_UP_BYTES = 2_000_000;

const [file = '', logBytesText = '', atOnceText = ''] = process.argv.slice(2);
const logBytes = Number(logBytesText);
const spool = openSpool(SPOOL_BYTES);

async function spoolPart(start: number, bytes: number): Promise<void> {
  const space = await spool.take(RESERVED_BYTES);
  const source: AsyncIterable<Buffer> = createReadStream(file, { start, end: start + bytes - 1 });
  const limits = {
    folder: tmpdir(),
    logBytesMax: bytes,
    storedBytesMax: bytes,
    temporaryName: () => randomUUID(),
  };
  const result = await spoolLog(source, space, limits);
  if (result.kind !== 'spooled' || result.log.bytes !== bytes) throw new Error('a log was not spooled');
  await result.log.release();
  space.release();
}

async function spoolAll(): Promise<void> {
  const whole = statSync(file).size;
  let next = 0;
  const one = async (): Promise<void> => {
    while (next < whole) {
      const start = next;
      next += logBytes;
      await spoolPart(start, Math.min(logBytes, whole - start));
    }
  };
  await Promise.all(Array.from({ length: Number(atOnceText) }, one));
}

await spoolPart(0, Math.min(WARM_UP_BYTES, statSync(file).size));
const startMs = performance.now();
await spoolAll();
process.stdout.write(`${JSON.stringify({ seconds: (performance.now() - startMs) / 1000 })}\n`);
