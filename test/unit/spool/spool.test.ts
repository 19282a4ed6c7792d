import { randomBytes } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { tmpdir } from 'node:os';
import { expect, test } from 'vitest';
import { SpoolFull, type SpoolSpace } from '../../../src/spool/spool-space.ts';
import { spoolLog } from '../../../src/spool/spool.ts';

const CHUNK_BYTES = 256 * 1024;
const limits = {
  folder: tmpdir(),
  logBytesMax: 2 ** 30,
  storedBytesMax: 2 ** 30,
  temporaryName: () => 'none',
};

/** Space that is refused at once, and says when. */
function fullSpace(): { space: SpoolSpace; refused: Promise<void> } {
  let refuse: () => void = () => undefined;
  const refused = new Promise<void>((resolve) => {
    refuse = resolve;
  });
  const space: SpoolSpace = {
    grow: (bytes) => {
      refuse();
      throw new SpoolFull(bytes);
    },
    release: () => undefined,
  };
  return { space, refused };
}

test('a log whose gzip no store would take in one PUT ends as such, and no more of it is read', async () => {
  const endless: SpoolSpace = { grow: () => undefined, release: () => undefined };
  let chunks = 0;
  async function* noise(): AsyncGenerator<Buffer> {
    for (; chunks < 1_000; chunks += 1) yield randomBytes(CHUNK_BYTES);
  }
  const result = await spoolLog(noise(), endless, { ...limits, storedBytesMax: 4 * CHUNK_BYTES });
  expect(result).toEqual({ kind: 'gzip_too_large' });
  expect(chunks).toBeLessThan(20);
});

test('a spool found full while GitHub is silent fails that log, and no more of it is read', async () => {
  const { space, refused } = fullSpace();
  let chunks = 0;
  async function* silent(): AsyncGenerator<Buffer> {
    yield randomBytes(CHUNK_BYTES);
    await refused;
    // A rejection that nobody waits for is reported before the next turn of the event loop.
    await setImmediate();
    for (; chunks < 1_000; chunks += 1) yield randomBytes(CHUNK_BYTES);
  }
  await expect(spoolLog(silent(), space, limits)).rejects.toBeInstanceOf(SpoolFull);
  expect(chunks).toBeLessThan(3);
});

test('a spool found full before the last chunk fails that log too', async () => {
  const { space, refused } = fullSpace();
  async function* ending(): AsyncGenerator<Buffer> {
    yield randomBytes(CHUNK_BYTES);
    await refused;
    await setImmediate();
    yield randomBytes(100);
  }
  await expect(spoolLog(ending(), space, limits)).rejects.toBeInstanceOf(SpoolFull);
});
