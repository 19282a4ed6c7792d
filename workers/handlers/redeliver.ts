import type { Log } from '../../src/logger.ts';
import type { PerHost } from '../../src/queue/catalog.ts';
import type { JobContext } from '../job-context.ts';
import { redeliverAlone, type RedeliveryDeps } from '../../src/redelivery/redelivery.ts';

export interface RedeliverDeps {
  /** By host; only those that are reached as an App have deliveries. */
  readonly redeliveries: ReadonlyMap<string, RedeliveryDeps>;
  readonly log: Log;
}

/** Asks GitHub to send a host's failed deliveries again, with tries spread over hours. Does nothing while another pass runs. */
export async function redeliver(
  deps: RedeliverDeps,
  data: PerHost,
  context: JobContext<PerHost>,
): Promise<void> {
  const host = deps.redeliveries.get(data.host);
  if (host === undefined) {
    deps.log.debug({ host: data.host }, 'no App credentials: GitHub lists no deliveries');
    return;
  }
  const report = await redeliverAlone(host, context.id, true);
  if (report === null) return;
  const { redelivered, waiting, final, exhausted, reachedBackTo, complete } = report;
  const fields = {
    host: data.host,
    redelivered: redelivered.length,
    waiting: waiting.length,
    final: final.length,
    exhausted: exhausted.length,
    reached_back_to: reachedBackTo,
    complete,
  };
  if (redelivered.length + exhausted.length > 0 || !complete)
    deps.log.info(fields, 'failed deliveries were looked for');
  else deps.log.debug(fields, 'failed deliveries were looked for');
}
