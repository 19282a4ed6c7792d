/** What one receiver process spends on deliveries at most. */
export interface ReceiverLimits {
  readonly bodyBytesMax: number;
  readonly bodiesInFlightBytesMax: number;
  /** Of those, what only bodies that say they are small may take. */
  readonly smallBodiesReserveBytes: number;
  readonly smallBodyBytesMax: number;
  readonly bodyTimeoutMs: number;
  readonly enqueueTimeoutMs: number;
}

const MIB = 1024 * 1024;

/** The limits of CONTRACT §3. */
export const RECEIVER_LIMITS: ReceiverLimits = {
  /** GitHub sends no payload over 25 MB. */
  bodyBytesMax: 25 * MIB,
  /** Ten of the largest bodies at once: keeps a flood of large ones from exhausting the process. */
  bodiesInFlightBytesMax: 256 * MIB,
  /** A flood of large bodies with a made-up signature, which is known only at their end, leaves room for a thousand usual ones. */
  smallBodiesReserveBytes: 64 * MIB,
  /** A delivery of a job with hundreds of steps is smaller. */
  smallBodyBytesMax: 256 * 1024,
  /** GitHub hangs up after 10 s; whoever sends slower than that gains nothing from an answer. */
  bodyTimeoutMs: 10_000,
  /** A working queue confirms in milliseconds; leaves most of GitHub's 10 s for the way there and back. */
  enqueueTimeoutMs: 2_000,
};
