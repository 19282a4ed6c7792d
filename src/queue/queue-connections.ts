import type { QueueName } from './catalog.ts';
import type { FairOrder } from './fair-order.ts';
import type { BullQueue, QueueStorage } from './queue-storage.ts';

/** The queues of a storage, each opened at its first use. */
export interface QueueConnections {
  readonly queueOf: (name: QueueName) => BullQueue;
  /** The order in which the queue's jobs have their turns. */
  readonly orderOf: (name: QueueName) => FairOrder;
  readonly close: () => Promise<void>;
}

/**
 * Opens the queues of a storage. BullMQ keeps the failure of a queue's first contact for ever, as when the server is not
 * there yet: such a queue is let go, and the next use opens another.
 */
export function queueConnections(storage: QueueStorage): QueueConnections {
  const opened = new Map<QueueName, { queue: BullQueue; order: FairOrder }>();

  function open(name: QueueName): { queue: BullQueue; order: FairOrder } {
    const known = opened.get(name);
    if (known !== undefined) return known;
    const queue = storage.createQueue(name);
    const fresh = { queue, order: storage.orderOf(queue) };
    opened.set(name, fresh);
    queue.waitUntilReady().catch(() => {
      if (opened.get(name) === fresh) opened.delete(name);
      queue.close().catch(() => undefined);
    });
    return fresh;
  }

  return {
    queueOf: (name) => open(name).queue,
    orderOf: (name) => open(name).order,
    async close() {
      await Promise.all([...opened.values()].map(({ queue }) => queue.close()));
    },
  };
}
