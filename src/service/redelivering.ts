import { randomInt } from 'node:crypto';
import { redeliverAlone, type RedeliveryDeps, type RedeliveryReport } from '../redelivery/redelivery.ts';
import { openHosts } from './hosts.ts';
import type { Config } from '../config.ts';
import type { Log } from '../logger.ts';
import type { RateLimiter } from '../queue/rate-limiter.ts';

export type { RedeliveryReport } from '../redelivery/redelivery.ts';

/** Asks for the failed deliveries of every host that is reached as an App, one host after the other. */
export interface Redelivering {
  /** By their names in keys. */
  readonly hosts: readonly string[];
  /** One pass, with no wait between tries; null while another pass is under way. `holder` names who does it. */
  pass(host: string, holder: string): Promise<RedeliveryReport | null>;
  close(): Promise<void>;
}

/** Opens what `everlog redeliver` works with. */
export function openRedelivering(
  config: Config,
  queue: { readonly notes: RedeliveryDeps['notes']; readonly rateLimiter: RateLimiter },
  log: Log,
): Redelivering {
  const now = (): Date => new Date();
  const random = (): number => randomInt(2 ** 32) / 2 ** 32;
  const { deliveryLogs, close } = openHosts(config, now);
  return {
    hosts: [...deliveryLogs.keys()],
    async pass(host, holder) {
      const deliveries = deliveryLogs.get(host);
      if (deliveries === undefined) throw new Error(`${host} is not reached as an App`);
      return redeliverAlone({ ...queue, deliveries, log, now, random }, holder, false);
    },
    close,
  };
}
