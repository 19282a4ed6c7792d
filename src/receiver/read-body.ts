import type { IncomingMessage } from 'node:http';

/** What became of a body. Only `body` leaves bytes in memory. */
export type BodyRead =
  | { readonly kind: 'body'; readonly bytes: Buffer }
  /** More than `bodyBytesMax`, declared or sent. */
  | { readonly kind: 'too_large' }
  /** No room among the bodies in flight. */
  | { readonly kind: 'no_room' }
  /** Not whole within `bodyTimeoutMs`. */
  | { readonly kind: 'too_slow' }
  /** The sender hung up. */
  | { readonly kind: 'cut' };

/** Room for bodies in flight, shared by all requests of a process. */
export interface BodyRoom {
  /** One request's part of the room, given back by `release`; `declaredBytes` is null for a body of no declared length. */
  open(declaredBytes: number | null): BodyShare;
}

interface BodyShare {
  /** Whether `bytes` more would fit now; takes nothing. */
  fits(bytes: number): boolean;
  /** Takes `bytes` more; false, taking nothing, when they do not fit. */
  take(bytes: number): boolean;
  release(): void;
}

/**
 * Room of `bytesMax` bytes. Counted is what is really held: counting what a sender merely declares would let a few
 * idle connections with a made-up Content-Length shut GitHub out. `reserve.bytes` of it are for bodies that declare
 * `reserve.bodyBytesMax` at most.
 */
export function createBodyRoom(
  bytesMax: number,
  reserve: { readonly bytes: number; readonly bodyBytesMax: number },
): BodyRoom {
  let heldBytes = 0;
  return {
    open(declaredBytes) {
      let shareBytes = 0;
      const isSmall = declaredBytes !== null && declaredBytes <= reserve.bodyBytesMax;
      const limit = isSmall ? bytesMax : bytesMax - reserve.bytes;
      const fits = (bytes: number): boolean => heldBytes + bytes <= limit;
      return {
        fits,
        take(bytes) {
          if (!fits(bytes)) return false;
          heldBytes += bytes;
          shareBytes += bytes;
          return true;
        },
        release() {
          heldBytes -= shareBytes;
          shareBytes = 0;
        },
      };
    },
  };
}

interface BodyLimits {
  readonly bodyBytesMax: number;
  readonly bodyTimeoutMs: number;
}

/**
 * Reads a request's body within its limits. What it holds is counted in `share`, which the caller releases when done
 * with the bytes. Does not wait for the rest of a body it refuses; never rejects.
 */
export function readBody(incoming: IncomingMessage, limits: BodyLimits, share: BodyShare): Promise<BodyRead> {
  const declaredBytes = declaredBytesOf(incoming) ?? 0;
  if (declaredBytes > limits.bodyBytesMax) return Promise.resolve({ kind: 'too_large' });
  if (!share.fits(declaredBytes)) return Promise.resolve({ kind: 'no_room' });
  if (incoming.destroyed) return Promise.resolve({ kind: 'cut' });
  return new Promise((resolve) => {
    let chunks: Buffer[] = [];
    let bytes = 0;

    function settle(read: BodyRead): void {
      clearTimeout(timer);
      incoming.off('data', onData).off('end', onEnd).off('error', onCut).off('close', onCut);
      incoming.pause();
      chunks = [];
      resolve(read);
    }
    function onData(chunk: Buffer): void {
      bytes += chunk.length;
      if (bytes > limits.bodyBytesMax) settle({ kind: 'too_large' });
      else if (!share.take(chunk.length)) settle({ kind: 'no_room' });
      else chunks.push(chunk);
    }
    function onEnd(): void {
      const [only] = chunks;
      settle({
        kind: 'body',
        bytes: only !== undefined && chunks.length === 1 ? only : Buffer.concat(chunks),
      });
    }
    function onCut(): void {
      settle({ kind: 'cut' });
    }

    const timer = setTimeout(() => settle({ kind: 'too_slow' }), limits.bodyTimeoutMs);
    incoming.on('data', onData).on('end', onEnd).on('error', onCut).on('close', onCut);
  });
}

/** What a request says that its body measures; null where it does not say. */
export function declaredBytesOf(incoming: IncomingMessage): number | null {
  const length = incoming.headers['content-length'];
  return length === undefined ? null : Number(length);
}
