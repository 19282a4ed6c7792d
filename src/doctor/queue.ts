import { openQueue } from '../service/queue.ts';
import type { Config } from '../config.ts';
import { reachService } from '../control/socket-client.ts';
import { EverlogError, giveUp } from '../errors.ts';
import { openLog } from '../logger.ts';
import type { Notes } from '../queue/notes.ts';
import type { QueueDurability } from '../queue/queue-storage.ts';
import { setTimeout as sleep } from 'node:timers/promises';
import { check, type Checked, type Found } from './check.ts';

/** What is noted to see whether notes are kept. */
const NOTE = 'doctor';
const NOTE_KEPT_MS = 60_000;
/** A server that has not answered by then is down. */
const ANSWER_TIMEOUT_MS = 5_000;
const LOOK_MS = 200;

const DURABILITY: Readonly<Record<QueueDurability, Found>> = {
  persistent: { status: 'ok', detail: 'what the server acknowledges is on its disk, and nothing is evicted' },
  embedded: {
    status: 'warning',
    detail: 'the embedded queue survives the death of the process, not of the machine',
    fix: 'for production set EVERLOG_QUEUE_URL to a Redis or Valkey server; what a crash of the machine loses, reconcile finds again',
  },
  unknown: {
    status: 'warning',
    detail: 'the server does not tell how durable it is (CONFIG is forbidden)',
    fix: 'see at your provider that it has persistence on and maxmemory-policy noeviction',
  },
  unsafe: {
    status: 'warning',
    detail: 'the server may lose jobs, which EVERLOG_ALLOW_UNSAFE_QUEUE allows',
    fix: 'set appendonly yes and maxmemory-policy noeviction, and remove EVERLOG_ALLOW_UNSAFE_QUEUE',
  },
};

/** Whether the queue can be reached, keeps what it is given, and keeps it through a crash. */
export async function examineQueue(config: Config): Promise<readonly Checked[]> {
  let durability: QueueDurability = 'unknown';
  const fix = 'start the server, or correct EVERLOG_QUEUE_URL';
  const reachable = await check('queue', 'reachable', fix, async () => {
    if (config.queue.kind === 'embedded') {
      const service = await reachService(config.queue.folder);
      if (service !== null) {
        durability = 'embedded';
        try {
          return await tryNotes(service.notes, `${config.queue.folder}: the service that owns it`);
        } finally {
          await service.close();
        }
      }
    }
    const open = await openQueue(config, openLog('silent', { write: () => undefined }));
    try {
      await answering(() => open.check());
      durability = open.storage.durability;
      return await tryNotes(open.queue.notes, open.queue.location);
    } finally {
      await open.queue.close();
    }
  });
  if (reachable.status !== 'ok') return [reachable];
  return [reachable, await check('queue', 'durability', '', async () => DURABILITY[durability])];
}

async function tryNotes(notes: Pick<Notes, 'note' | 'noted'>, where: string): Promise<Found> {
  const text = String(Date.now());
  await notes.note(NOTE, text, NOTE_KEPT_MS);
  const [noted] = await notes.noted([NOTE]);
  if (noted !== text) throw giveUp('queue_unavailable', `${where} did not keep what it was given`);
  return { status: 'ok', detail: `${where} keeps what it is given` };
}

/** A connection that has just begun cannot answer at once. */
async function answering(ask: () => Promise<void>): Promise<void> {
  const deadlineMs = Date.now() + ANSWER_TIMEOUT_MS;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      const passing = error instanceof EverlogError && error.remedy.kind === 'retry';
      if (!passing || Date.now() > deadlineMs) throw error;
    }
    await sleep(LOOK_MS);
  }
}
