import { resolve } from 'node:path';
import { openQueue, refuseForeignQueueOf } from '../service/queue.ts';
import type { Config } from '../config.ts';
import { reachService } from '../control/socket-client.ts';
import { openLog } from '../logger.ts';
import { holdsQueue } from '../queue/embedded/queue-folder.ts';
import type { QueueDurability, Weakness } from '../queue/queue-storage.ts';
import { check, skipped, type Checked, type CheckResult } from './check.ts';
import { firstAnswer } from '../queue/health/first-answer.ts';

/** A server that has not answered by then is down. */
const ANSWER_TIMEOUT_MS = 5_000;

const URL_FIX = 'start the server, or correct EVERLOG_QUEUE_URL';

const EMBEDDED: CheckResult = {
  status: 'warning',
  detail: 'the embedded queue survives the death of the process, not of the machine',
  fix: 'for production set EVERLOG_QUEUE_URL to a Redis or Valkey server; what a crash of the machine loses, reconcile finds again',
};

/** Whether the queue can be reached, does what adding and taking a job needs, is this archive's, and keeps jobs through a crash. */
export async function examineQueue(config: Config): Promise<readonly Checked[]> {
  if (config.queue.kind !== 'embedded') return examineOpened(config);
  const { folder } = config.queue;
  const durability = await check('queue', 'durability', '', async () => EMBEDDED);
  const service = await reachService(folder);
  if (service === null) {
    if (holdsQueue(folder)) return [...(await examineOpened(config)), durability];
    const detail = `none yet: the first \`everlog up\` begins it in ${resolve(folder)}`;
    return [skipped('queue', 'reachable', detail), durability];
  }
  try {
    const reachable = await check('queue', 'reachable', '', async () => ({
      status: 'ok',
      detail: `${folder}: the service that owns it answers`,
    }));
    const work = await check('queue', 'work', 'see the log of that service', async () => {
      await service.tryWork();
      return { status: 'ok', detail: 'a job was added, taken and removed' };
    });
    return [reachable, work, await examineOwner(config, service), durability];
  } finally {
    await service.close();
  }
}

async function examineOpened(config: Config): Promise<readonly Checked[]> {
  const open = await openQueue(config, openLog('silent', { write: () => undefined }));
  try {
    const { queue, storage } = open;
    const reachable = await check('queue', 'reachable', URL_FIX, async () => {
      await firstAnswer(() => open.check(), ANSWER_TIMEOUT_MS);
      return { status: 'ok', detail: `${queue.location} answers` };
    });
    if (reachable.status !== 'ok') return [reachable];
    const results = [
      reachable,
      await check('queue', 'work', URL_FIX, async () => {
        await firstAnswer(() => queue.tryWork(), ANSWER_TIMEOUT_MS);
        return { status: 'ok', detail: 'a job was added, taken and removed' };
      }),
      await examineOwner(config, queue),
    ];
    if (storage.kind === 'embedded') return results;
    const judge = async (): Promise<CheckResult> => judgeDurability(storage.durability, storage.weaknesses);
    return [...results, await check('queue', 'durability', '', judge)];
  } finally {
    await open.queue.close();
  }
}

/** Whose the queue is. A receiver's machine need not know of an archive. */
async function examineOwner(
  config: Config,
  queue: Parameters<typeof refuseForeignQueueOf>[1],
): Promise<Checked> {
  if (config.queue.kind !== 'embedded' && !config.archiveNamed)
    return skipped(
      'queue',
      'archive',
      'EVERLOG_ARCHIVE_URL names none here, so whose the queue is was not compared',
    );
  return check('queue', 'archive', '', async () => {
    const owner = await refuseForeignQueueOf(config, queue);
    const detail = owner === 'own' ? 'the queue is this archive’s' : 'the queue belongs to no archive yet';
    return { status: 'ok', detail };
  });
}

function judgeDurability(durability: QueueDurability, weaknesses: readonly Weakness[]): CheckResult {
  if (weaknesses.length > 0)
    return {
      status: 'warning',
      detail: weaknesses.map(({ what }) => what).join(' · '),
      fix: weaknesses.map(({ cure }) => cure).join(' · '),
    };
  if (durability === 'persistent')
    return {
      status: 'ok',
      detail: 'what the server acknowledges is on its disk within a second, and nothing is evicted',
    };
  return {
    status: 'warning',
    detail: 'the server may lose jobs, which EVERLOG_ALLOW_UNSAFE_QUEUE allows',
    fix: 'set appendonly yes and maxmemory-policy noeviction, and remove EVERLOG_ALLOW_UNSAFE_QUEUE',
  };
}
