import { EverlogError, retryable } from '../errors.ts';

/**
 * Room in the spool of one process. Space is taken before a link is asked for, so that a link is never left to expire
 * while its job waits; it grows while the log is read.
 */
export interface SpoolSpace {
  /**
   * Makes sure that `bytes` in all are reserved.
   * @throws EverlogError `spool_full` (retry) when other jobs hold what is missing; `SpoolTooSmall` when the whole spool
   * could not hold it.
   */
  grow(bytes: number): void;
  /** Gives everything back. */
  release(): void;
}

export interface Spool {
  readonly bytesMax: number;
  /** Waits its turn for `bytes` (at most the whole spool). First come, first served. */
  take(bytes: number): Promise<SpoolSpace>;
  /** Bytes reserved now. */
  used(): number;
}

/** What a job reserves before it knows how long its log is. */
export const FIRST_RESERVATION_BYTES = 64 * 1024 * 1024;
/** Space grows in steps of this. */
const STEP_BYTES = 16 * 1024 * 1024;

/** The log cannot fit into the spool, however long it waits. */
export class SpoolTooSmall extends Error {}

/** Another try needs to reserve `neededBytes` before it asks for a link. */
export class SpoolFull extends EverlogError {
  readonly neededBytes: number;

  constructor(neededBytes: number) {
    const { code, remedy, message } = retryable(
      'spool_full',
      'the spool is full (EVERLOG_SPOOL_MAX_BYTES): waiting',
    );
    super(code, remedy, message);
    this.neededBytes = neededBytes;
  }
}

/** Opens the spool of a process. */
export function openSpool(bytesMax: number): Spool {
  const waiting: { bytes: number; start: () => void }[] = [];
  let used = 0;

  function admit(): void {
    for (let next = waiting[0]; next !== undefined && used + next.bytes <= bytesMax; next = waiting[0]) {
      waiting.shift();
      used += next.bytes;
      next.start();
    }
  }

  function space(reserved: number): SpoolSpace {
    let held = reserved;
    return {
      grow(bytes) {
        if (bytes <= held) return;
        if (bytes > bytesMax) throw new SpoolTooSmall(`over ${bytesMax} bytes`);
        const wanted = Math.min(Math.max(bytes, held + STEP_BYTES), bytesMax);
        if (used - held + wanted > bytesMax) throw new SpoolFull(Math.min(wanted * 2, bytesMax));
        used += wanted - held;
        held = wanted;
      },
      release() {
        used -= held;
        held = 0;
        admit();
      },
    };
  }

  return {
    bytesMax,
    used: () => used,
    take(bytes) {
      const wanted = Math.min(bytes, bytesMax);
      return new Promise((resolve) => {
        waiting.push({ bytes: wanted, start: () => resolve(space(wanted)) });
        admit();
      });
    },
  };
}
