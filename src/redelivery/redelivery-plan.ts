import type { HookDelivery } from '../github/deliveries.ts';

/** Which failed deliveries are worth another attempt. Pure: the list, what is known and the time in, the plan out. */

/** What is known beside GitHub's list. */
export interface KnownOfDeliveries {
  /** What Everlog has asked for, by GUID. */
  readonly asked: ReadonlyMap<string, Ask>;
  /** When the receiver was last given other settings: what failed before may succeed now, so earlier tries do not count. */
  readonly receiverChangedAt: Date | null;
  /** How long GitHub can send a delivery again, in milliseconds. */
  readonly windowMs: number;
  /** Whether tries of the same delivery are spread over hours, as a schedule does that must outlast an outage. */
  readonly paced: boolean;
}

/** An attempt that Everlog asked for. */
export interface Ask {
  /** Asks since the receiver's settings changed. */
  readonly count: number;
  /** The newest attempt that GitHub listed when it was asked. */
  readonly afterId: string;
  readonly at: Date;
}

/** A delivery that no receiver has accepted. */
export interface FailedDelivery {
  readonly guid: string;
  /** Its newest attempt. */
  readonly deliveryId: string;
  readonly event: string;
  readonly action: string | null;
  readonly statusCode: number;
  /** Attempts that GitHub lists. */
  readonly attempts: number;
  /** Times that it was sent again since the receiver's settings changed. */
  readonly tries: number;
}

/** What to do; each list oldest first, as the oldest leave GitHub's window first. */
export interface RedeliveryPlan {
  readonly redeliver: readonly FailedDelivery[];
  /** Asked for and not attempted yet, or to be tried again later. */
  readonly waiting: readonly FailedDelivery[];
  /** The receiver's answer would be the same again. */
  readonly final: readonly FailedDelivery[];
  /** Sent again as often as is worth it. */
  readonly exhausted: readonly FailedDelivery[];
  /** Every attempt at all of these, to be remembered until the next plan. */
  readonly unresolved: readonly HookDelivery[];
}

/** A delivery is sent again this often; then only other settings of the receiver make it worth another try. */
const TRIES_MAX = 3;
/** Paced tries: how long after a failed one the next may follow. Together they outlast half a day's outage. */
const PACE_MS = [60 * 60_000, 12 * 60 * 60_000] as const;
/** GitHub attempts what it was asked for within seconds, minutes in a surge; after this it has forgotten. */
const ASK_PENDING_MS = 15 * 60_000;
/** The body itself was refused, and it will not change: not JSON or not UTF-8, and too large. */
const FINAL_STATUS = new Set([400, 413]);

/** Whether a delivery is one that Everlog uses; others are nobody's loss. */
export function isUsed({ event, action }: Pick<HookDelivery, 'event' | 'action'>): boolean {
  switch (event) {
    case 'workflow_job':
      return action === 'completed';
    case 'workflow_run':
      return action === 'requested' || action === 'completed';
    case 'installation':
      return true;
    default:
      return false;
  }
}

/** Plans which of the failed deliveries to ask GitHub for again. Attempts may come in any order, and twice. */
export function planRedeliveries(
  deliveries: readonly HookDelivery[],
  known: KnownOfDeliveries,
  now: Date,
): RedeliveryPlan {
  const lists: Record<RedeliveryVerdict, { failed: FailedDelivery; at: number }[]> = {
    redeliver: [],
    waiting: [],
    final: [],
    exhausted: [],
  };
  const unresolved: HookDelivery[] = [];
  for (const attempts of byGuid(deliveries).values()) {
    const newest = attempts.at(-1);
    if (newest === undefined || attempts.some(({ status }) => status === 'OK')) continue;
    const at = Date.parse(newest.delivered_at);
    if (at < now.getTime() - known.windowMs) continue;
    const failed = describeFailure(attempts, newest, known);
    lists[judgeDelivery(failed, newest, known, now)].push({ failed, at });
    unresolved.push(...attempts);
  }
  const oldestFirst = (verdict: RedeliveryVerdict): FailedDelivery[] =>
    lists[verdict].sort((one, other) => one.at - other.at).map(({ failed }) => failed);
  return {
    redeliver: oldestFirst('redeliver'),
    waiting: oldestFirst('waiting'),
    final: oldestFirst('final'),
    exhausted: oldestFirst('exhausted'),
    unresolved,
  };
}

type RedeliveryVerdict = 'redeliver' | 'waiting' | 'final' | 'exhausted';

/** The attempts of every used event, oldest first. */
function byGuid(deliveries: readonly HookDelivery[]): ReadonlyMap<string, readonly HookDelivery[]> {
  const groups = new Map<string, Map<string, HookDelivery>>();
  for (const delivery of deliveries) {
    if (!isUsed(delivery)) continue;
    const group = groups.get(delivery.guid) ?? new Map<string, HookDelivery>();
    groups.set(delivery.guid, group.set(delivery.id, delivery));
  }
  return new Map([...groups].map(([guid, group]) => [guid, [...group.values()].sort(compareDeliveries)]));
}

function compareDeliveries(one: HookDelivery, other: HookDelivery): number {
  const apart = Date.parse(one.delivered_at) - Date.parse(other.delivered_at);
  if (apart !== 0) return apart;
  return BigInt(one.id) < BigInt(other.id) ? -1 : 1;
}

function describeFailure(
  attempts: readonly HookDelivery[],
  newest: HookDelivery,
  known: KnownOfDeliveries,
): FailedDelivery {
  const sinceMs = known.receiverChangedAt?.getTime() ?? 0;
  const listed = attempts.filter(
    ({ redelivery, delivered_at }) => redelivery && Date.parse(delivered_at) >= sinceMs,
  ).length;
  return {
    guid: newest.guid,
    deliveryId: newest.id,
    event: newest.event,
    action: newest.action,
    statusCode: newest.status_code,
    attempts: attempts.length,
    tries: Math.max(listed, asksSinceChange(known, newest.guid)),
  };
}

/** How often Everlog has asked for a delivery since the receiver's settings changed. */
export function asksSinceChange(
  known: Pick<KnownOfDeliveries, 'asked' | 'receiverChangedAt'>,
  guid: string,
): number {
  const ask = known.asked.get(guid);
  return ask !== undefined && ask.at.getTime() >= (known.receiverChangedAt?.getTime() ?? 0) ? ask.count : 0;
}

function judgeDelivery(
  failed: FailedDelivery,
  newest: HookDelivery,
  known: KnownOfDeliveries,
  now: Date,
): RedeliveryVerdict {
  const ask = known.asked.get(failed.guid);
  const isPending =
    ask !== undefined && ask.afterId === newest.id && now.getTime() - ask.at.getTime() < ASK_PENDING_MS;
  if (isPending) return 'waiting';
  if (FINAL_STATUS.has(failed.statusCode)) return 'final';
  if (failed.tries >= TRIES_MAX) return 'exhausted';
  const paceMs = failed.tries === 0 ? 0 : (PACE_MS[failed.tries - 1] ?? 0);
  const isTooSoon = known.paced && now.getTime() < Date.parse(newest.delivered_at) + paceMs;
  return isTooSoon ? 'waiting' : 'redeliver';
}
