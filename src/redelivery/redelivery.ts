import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { EverlogError, messageOf } from '../errors.ts';
import {
  hookDeliverySchema,
  redeliveryWindowMs,
  walkBack,
  type DeliveryLog,
  type HookDelivery,
} from '../github/deliveries.ts';
import {
  asksSinceChange,
  isUsed,
  planRedeliveries,
  type Ask,
  type FailedDelivery,
  type KnownOfDeliveries,
  type RedeliveryPlan,
} from './redelivery-plan.ts';
import type { Log } from '../logger.ts';
import { noteFailedDeliveries } from '../queue/noted/failed-deliveries.ts';
import type { KeyValueNotes } from '../queue/key-value-notes.ts';
import { receiverChangedAt } from './receiver-note.ts';
import { budgetSpent, reserveCalls, type BudgetDeps } from '../budget/budget.ts';

/**
 * One pass over an App's deliveries: what failed and matters is asked for again. Every step can be repeated; what a pass that
 * was cut short did not get to is found by the next.
 */
export interface RedeliveryDeps extends BudgetDeps {
  readonly deliveries: DeliveryLog;
  readonly notes: Pick<KeyValueNotes, 'note' | 'noted' | 'claim' | 'release'>;
  readonly log: Log;
}

/** What a pass did and found. */
export interface RedeliveryReport extends Omit<RedeliveryPlan, 'redeliver' | 'unresolved'> {
  readonly host: string;
  /** Asked for now. */
  readonly redelivered: readonly FailedDelivery[];
  readonly reachedBackTo: string | null;
  /** Whether it saw everything since the last complete pass, and asked for all that it planned to. */
  readonly complete: boolean;
}

/** A page holds a hundred deliveries: a million jobs a day make some three hundred pages in ten minutes. */
const PAGES_MAX = 1_000;
/** What is left over is for the next pass: at GitHub's pace these take some six minutes. */
const ASKS_MAX = 1_000;
const ASKS_AT_ONCE = 10;
/** GitHub counts a POST as five points, a GET as one. */
const ASK_POINTS = 5;
const PAGE_POINTS = 1;
/** A turn further away than this is a pause: the pass ends and goes on later. */
const TURN_WAIT_MS_MAX = 60_000;
/** Deliveries are listed when they have ended, in no strict order: the next pass begins this far before the last one. */
const OVERLAP_MS = 10 * 60_000;
/** Attempts remembered between passes, some 250 bytes each; with more than these the next pass walks back again. */
const REMEMBERED_MAX = 5_000;
/** Longer than any window in which GitHub sends a delivery again. */
const MEMORY_KEPT_MS = 8 * 24 * 60 * 60_000;
/** Deliveries that were asked for are known by their GUID for a day. */
const ASK_KEPT_MS = 24 * 60 * 60_000;
/** What was noted too early is let go. */
const FORGOTTEN_MS = 1;
/** A pass is over long before: some minutes of pages and some of asking. */
const CLAIM_MS = 30 * 60_000;

const memorySchema = z.object({
  /** The newest delivery that the last complete pass saw; null when none was complete. */
  seen_to: z.string().nullable(),
  unresolved: z.array(hookDeliverySchema),
});
type Memory = z.infer<typeof memorySchema>;

const askSchema = z.object({ count: z.int(), after_id: z.string(), at: z.iso.datetime() });

/**
 * Goes through the list once and asks for what the plan says.
 * @throws EverlogError as App calls do, `github_rate_limited` (wait) when there is no turn soon.
 */
async function redeliverFailed(deps: RedeliveryDeps, paced: boolean): Promise<RedeliveryReport> {
  const { host } = deps.deliveries.host;
  const now = deps.now();
  const windowMs = redeliveryWindowMs(deps.deliveries.host.product);
  const memory = await recall(deps, host);
  const until = Math.max(
    now.getTime() - windowMs,
    memory.seen_to === null ? 0 : Date.parse(memory.seen_to) - OVERLAP_MS,
  );
  const paging: Pick<DeliveryLog, 'page'> = {
    async page(cursor) {
      await turn(deps, PAGE_POINTS);
      return deps.deliveries.page(cursor);
    },
  };
  const walked = await walkBack(paging, new Date(until), PAGES_MAX, isUsed);
  const deliveries = [...memory.unresolved, ...walked.deliveries];
  const known = await gatherKnown(deps, host, deliveries, { windowMs, paced });
  const plan = planRedeliveries(deliveries, known, deps.now());
  const remembered = plan.unresolved.slice(-REMEMBERED_MAX);
  const seenTo = walked.newestAt ?? memory.seen_to;
  const isAllKept = walked.complete && remembered.length === plan.unresolved.length;
  await remember(deps, host, { seen_to: isAllKept ? seenTo : memory.seen_to, unresolved: remembered });
  await noteFailedDeliveries(deps.notes, host, {
    final: plan.final.length,
    exhausted: plan.exhausted.length,
  });
  const redelivered = await askForAll(deps, known, plan.redeliver.slice(0, ASKS_MAX));
  return {
    host,
    redelivered,
    waiting: plan.waiting,
    final: plan.final,
    exhausted: plan.exhausted,
    reachedBackTo: walked.reachedBackTo,
    complete: isAllKept && plan.redeliver.length <= ASKS_MAX,
  };
}

/** The same, unless another pass over this host's deliveries is under way: then null. `holder` may take its own claim again. */
export async function redeliverAlone(
  deps: RedeliveryDeps,
  holder: string,
  paced: boolean,
): Promise<RedeliveryReport | null> {
  const claim = memoryName(deps.deliveries.host.host);
  if (!(await deps.notes.claim(claim, holder, CLAIM_MS))) return null;
  try {
    return await redeliverFailed(deps, paced);
  } finally {
    await deps.notes.release(claim, holder);
  }
}

/** Whether Everlog itself asked GitHub for this delivery within the last day. */
export async function wasAskedFor(
  notes: Pick<KeyValueNotes, 'noted'>,
  host: string,
  guid: string,
): Promise<boolean> {
  const [ask] = await notes.noted([askName(host, guid)]);
  return ask !== undefined && ask !== null;
}

async function recall(deps: RedeliveryDeps, host: string): Promise<Memory> {
  const [text] = await deps.notes.noted([memoryName(host)]);
  const parsed = text === undefined || text === null ? null : memorySchema.safeParse(JSON.parse(text));
  return parsed?.success === true ? parsed.data : { seen_to: null, unresolved: [] };
}

async function remember(deps: RedeliveryDeps, host: string, memory: Memory): Promise<void> {
  await deps.notes.note(memoryName(host), JSON.stringify(memory), MEMORY_KEPT_MS);
}

async function gatherKnown(
  deps: RedeliveryDeps,
  host: string,
  deliveries: readonly HookDelivery[],
  rules: Pick<KnownOfDeliveries, 'windowMs' | 'paced'>,
): Promise<KnownOfDeliveries> {
  const accepted = new Set(deliveries.filter(({ status }) => status === 'OK').map(({ guid }) => guid));
  const failed = [...new Set(deliveries.map(({ guid }) => guid))].filter((guid) => !accepted.has(guid));
  const texts = await deps.notes.noted(failed.map((guid) => askName(host, guid)));
  const asked = new Map<string, Ask>();
  for (const [index, guid] of failed.entries()) {
    const ask = askSchema.safeParse(JSON.parse(texts[index] ?? 'null'));
    if (ask.success) {
      const { count, after_id, at } = ask.data;
      asked.set(guid, { count, afterId: after_id, at: new Date(at) });
    }
  }
  return { ...rules, asked, receiverChangedAt: await receiverChangedAt(deps.notes, host) };
}

/** Asks for deliveries, a few at once; answers those that GitHub took on. Rejects with the first failure, when all have ended. */
async function askForAll(
  deps: RedeliveryDeps,
  known: KnownOfDeliveries,
  wanted: readonly FailedDelivery[],
): Promise<readonly FailedDelivery[]> {
  const asked: FailedDelivery[] = [];
  const failures: unknown[] = [];
  const queue = wanted.values();
  const lane = async (): Promise<void> => {
    for (const delivery of queue) {
      if (failures.length > 0) return;
      try {
        if (await askFor(deps, known, delivery)) asked.push(delivery);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: ASKS_AT_ONCE }, lane));
  if (failures.length > 0) {
    const code = failures[0] instanceof EverlogError ? failures[0].code : 'unexpected';
    const details = { host: deps.deliveries.host.host, asked: asked.length, wanted: wanted.length, code };
    deps.log.warn({ ...details, error: messageOf(failures[0]) }, 'not every failed delivery was asked for');
    throw failures[0];
  }
  return asked;
}

async function askFor(
  deps: RedeliveryDeps,
  known: KnownOfDeliveries,
  delivery: FailedDelivery,
): Promise<boolean> {
  const { guid, deliveryId } = delivery;
  await turn(deps, ASK_POINTS);
  // Noted first: the redelivery may arrive before GitHub's answer does, and its record is to say who asked for it.
  const ask = {
    count: asksSinceChange(known, guid) + 1,
    after_id: deliveryId,
    at: deps.now().toISOString(),
  };
  const name = askName(deps.deliveries.host.host, guid);
  await deps.notes.note(name, JSON.stringify(ask), ASK_KEPT_MS);
  try {
    return (await deps.deliveries.redeliver(deliveryId)) === 'asked';
  } catch (error) {
    const before = known.asked.get(guid);
    const earlier =
      before === undefined
        ? null
        : { count: before.count, after_id: before.afterId, at: before.at.toISOString() };
    await deps.notes.note(name, JSON.stringify(earlier), earlier === null ? FORGOTTEN_MS : ASK_KEPT_MS);
    throw error;
  }
}

/** Waits for a turn to spend points of the App's own budget. */
async function turn(deps: RedeliveryDeps, points: number): Promise<void> {
  const { host, product } = deps.deliveries.host;
  const budget = `${host}/app`;
  const at = await reserveCalls(deps, budget, product, points, null);
  if (at === null) return;
  const waitMs = at.getTime() - deps.now().getTime();
  if (waitMs > TURN_WAIT_MS_MAX) throw budgetSpent(budget, at);
  await sleep(waitMs);
}

function memoryName(host: string): string {
  return `redelivery/${host}`;
}

function askName(host: string, guid: string): string {
  return `redelivery-asked/${host}/${guid}`;
}
