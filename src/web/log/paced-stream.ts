export interface Pacing {
  /** Says that the reader has gone. */
  readonly signal: AbortSignal;
  /** Called once when nothing more will be sent. */
  readonly onEnd?: () => Promise<void> | void;
  /** Default: a minute. */
  readonly idleMs?: number;
}

/** A reader that takes nothing for this long holds a connection to the store for nobody. */
const IDLE_MS = 60_000;

/**
 * Sends chunks as fast as the reader takes them, one at a time, so that a slow reader costs one chunk of memory. The source is
 * closed when the reader goes, also before it took anything, or takes nothing for a minute.
 */
export function pacedStream(
  chunks: AsyncGenerator<Uint8Array>,
  { signal, onEnd, idleMs = IDLE_MS }: Pacing,
): ReadableStream<Uint8Array> {
  let idle: NodeJS.Timeout | undefined;
  let isOver = false;
  const end = async (): Promise<void> => {
    clearTimeout(idle);
    if (isOver) return;
    isOver = true;
    signal.removeEventListener('abort', onGone);
    await chunks.return(undefined);
    await onEnd?.();
  };
  const onGone = (): void => void end();
  signal.addEventListener('abort', onGone, { once: true });
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        clearTimeout(idle);
        try {
          signal.throwIfAborted();
          const { done, value } = await chunks.next();
          if (done === true) {
            controller.close();
            await end();
            return;
          }
          controller.enqueue(value);
        } catch (error) {
          await end();
          throw error;
        }
        idle = setTimeout(() => {
          controller.error(new Error('the reader takes nothing'));
          void end();
        }, idleMs);
        idle.unref();
      },
      cancel: end,
    },
    { highWaterMark: 0 },
  );
}

/**
 * Gives the last chunk only when the source has ended well: who is told how many bytes will come must not have them all before
 * they are known to be the right ones.
 */
export async function* lastWhenProven(chunks: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  let held: Uint8Array | null = null;
  for await (const chunk of chunks) {
    if (held !== null) yield held;
    held = chunk;
  }
  if (held !== null) yield held;
}
