import { createHash } from 'node:crypto';
import { PassThrough, pipeline, Readable, Transform } from 'node:stream';
import { retryable } from '../errors.ts';
import type { EverlogError } from '../errors.ts';
import type { PutBody } from './object-store.ts';

/** Bytes in memory are handed on in pieces of this size, so that progress shows. */
const SLICE_BYTES = 256 * 1024;

/** The bytes given are not the bytes announced. Retry: whoever made them makes them again. */
export function bodyMismatch(key: string, problem: string): EverlogError {
  return retryable('object_corrupt', `${key} was not stored: ${problem}`);
}

/** What `open()` gave as a stream. */
export function asStream(opened: Uint8Array | Readable): Readable {
  return opened instanceof Uint8Array ? Readable.from(slices(opened), { objectMode: false }) : opened;
}

function* slices(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += SLICE_BYTES) yield bytes.subarray(at, at + SLICE_BYTES);
}

/**
 * Counts what passes, and hashes it unless the store will (`hashed: false`). Fails with `object_corrupt`: at the end, or as soon
 * as there are more bytes than announced.
 */
export function checkingStream(
  key: string,
  body: PutBody,
  options: { hashed: boolean; onBytes?: (bytes: number) => void },
): Transform {
  const hash = options.hashed ? createHash('sha256') : null;
  let seen = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      seen += chunk.byteLength;
      if (seen > body.bytes) {
        done(bodyMismatch(key, `more than the ${body.bytes} bytes announced`));
        return;
      }
      hash?.update(chunk);
      options.onBytes?.(chunk.byteLength);
      done(null, chunk);
    },
    flush(done) {
      if (seen < body.bytes) done(bodyMismatch(key, `${seen} bytes of the ${body.bytes} announced`));
      else if (hash !== null && hash.digest('hex') !== body.sha256) {
        done(bodyMismatch(key, 'the bytes have another SHA-256 than announced'));
      } else done();
    },
  });
}

/** The bytes of a body, counted and hashed; throws as the stream does, and destroys it when left early. */
export async function* checkedChunks(key: string, body: PutBody): AsyncGenerator<Buffer> {
  const checked = checkingStream(key, body, { hashed: true });
  // A failure of the source destroys `checked` with its error, which the loop then throws.
  pipeline(asStream(body.open()), checked, () => {});
  try {
    for await (const chunk of checked) {
      if (!Buffer.isBuffer(chunk)) throw new Error(`body of ${key} was not read as bytes`);
      yield chunk;
    }
  } finally {
    checked.destroy();
  }
}

/**
 * Passes a store's stream on with its errors translated; destroying the result destroys the source. With `stallMs`, fails when
 * the source gives nothing for so long although the reader waits; a reader may take any time.
 */
export function relayBody(
  source: Readable,
  translate: (error: unknown) => EverlogError,
  stallMs?: number,
): Readable {
  const out = new PassThrough();
  const watch = stallMs === undefined ? null : watchForStall(source, out, stallMs, translate);
  source.once('error', (error) => out.destroy(translate(error)));
  source.once('close', () => {
    if (!source.readableEnded) out.destroy(translate(new Error('the stream was cut short')));
  });
  out.once('close', () => {
    if (watch !== null) clearInterval(watch);
    source.destroy();
  });
  source.pipe(out);
  return out;
}

function watchForStall(
  source: Readable,
  out: PassThrough,
  stallMs: number,
  translate: (error: unknown) => EverlogError,
): NodeJS.Timeout {
  let quietSince = performance.now();
  source.on('data', () => {
    quietSince = performance.now();
  });
  const check = (): void => {
    const readerIsSlow = out.writableNeedDrain || out.readableLength > 0;
    if (readerIsSlow || source.readableEnded) quietSince = performance.now();
    else if (performance.now() - quietSince > stallMs) {
      out.destroy(translate(new Error(`no bytes for ${stallMs} ms`)));
    }
  };
  return setInterval(check, Math.max(1, stallMs / 4)).unref();
}
