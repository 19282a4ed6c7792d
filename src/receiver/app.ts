import type { IncomingMessage } from 'node:http';
import type { HttpBindings } from '@hono/node-server';
import { Hono, type Context } from 'hono';
import { messageOf } from '../errors.ts';
import type { Log } from '../logger.ts';
import type { NewJob } from '../queue/catalog.ts';
import { untraced, type InSpan } from '../spans.ts';
import { acceptDelivery, describeUnread, type AcceptedDelivery, type Intake } from './accept-delivery.ts';
import { USED_EVENTS } from './delivery.ts';
import { createHealth } from './health.ts';
import { RECEIVER_LIMITS, type ReceiverLimits } from './limits.ts';
import { STATUS, UNPROCESSABLE, type DeliveryOutcome, type OutcomeName } from './outcome.ts';
import { createBodyRoom } from './read-body.ts';
import { createSignatureCheck } from './signature.ts';
import type { ExpectedTarget } from './target.ts';

/** With it a trace begins. */
export const DELIVERY_SPAN = 'delivery';

/** One GitHub deployment that deliveries are taken from. */
export interface ReceiverHost extends ExpectedTarget {
  /** Its path segment: `POST /webhooks/<name>`. */
  readonly name: string;
  /** All secrets that a delivery may be signed with; several during rotation. */
  readonly webhookSecrets: readonly string[];
}

/** An event's name as far as it may label a metric: senders choose the header freely, and anybody may send one. */
type CountedEvent = (typeof USED_EVENTS)[number] | 'other';

/** An answered delivery, in values from closed sets and numbers. */
export interface AnsweredDelivery {
  /** By which it stands in keys. */
  readonly host: string;
  readonly event: CountedEvent;
  readonly outcome: OutcomeName;
  readonly reason: typeof UNPROCESSABLE | null;
  /** Whether it was signed and taken. */
  readonly isTaken: boolean;
  readonly at: Date;
  readonly durationMs: number;
}

export interface ReceiverDeps {
  readonly hosts: readonly ReceiverHost[];
  /**
   * Resolves when the job is durable; rejects with `queue_unavailable` when it cannot be. May hang: a delivery does
   * not wait for it longer than `enqueueTimeoutMs`.
   */
  readonly enqueue: (job: NewJob) => Promise<'queued' | 'duplicate'>;
  readonly now: () => Date;
  readonly log: Log;
  /** Told of every answered delivery. */
  readonly onDelivery: (delivery: AnsweredDelivery) => void;
  readonly limits?: Partial<ReceiverLimits>;
  /** Traces what becomes of a delivery. */
  readonly inSpan?: InSpan;
}

type Receiver = Hono<{ Bindings: HttpBindings }>;
type ReceiverContext = Context<{ Bindings: HttpBindings }>;

/**
 * The receiver's HTTP application: `POST /webhooks/<name>` of every host, `POST /webhooks` of an only one, and
 * `GET /healthz`. Reads the raw Node request, so it is to be served by `listenHttp`.
 * @throws Error when there is no host, a host's name comes twice, or a host has no secret.
 */
export function createReceiver(deps: ReceiverDeps): Receiver {
  const doors = openDoors(deps);
  const [first] = deps.hosts;
  if (first === undefined) throw new Error('a receiver needs at least one GitHub host');
  const only = deps.hosts.length === 1 ? first.name : null;

  async function receive(c: ReceiverContext): Promise<Response> {
    const name = c.req.param('name') ?? only;
    const door = name === null ? undefined : doors.get(name);
    if (door === undefined) return answerDelivery(c, unknownHost(name));
    if (c.req.method !== 'POST') {
      c.header('Allow', 'POST');
      return answerDelivery(c, { outcome: 'method_not_allowed', reason: 'deliveries are sent with POST' });
    }
    return answerDelivery(c, await receiveDelivery(c.env.incoming, door, deps));
  }

  const app: Receiver = new Hono<{ Bindings: HttpBindings }>();
  app.all('/webhooks', (c) => receive(c));
  app.all('/webhooks/:name', (c) => receive(c));
  app.route('/', createHealth());
  app.notFound((c) => answerDelivery(c, { outcome: 'not_found', reason: 'no such path' }));
  app.onError((error, c) => {
    deps.log.error({ error: messageOf(error), stack: error.stack }, 'request failed unexpectedly');
    return answerDelivery(c, { outcome: 'error' });
  });
  return app;
}

/** One host's webhook address, with the log that names it. */
interface Door {
  readonly intake: Intake;
  readonly log: Log;
}

function openDoors(deps: ReceiverDeps): ReadonlyMap<string, Door> {
  const limits: ReceiverLimits = { ...RECEIVER_LIMITS, ...deps.limits };
  const room = createBodyRoom(limits.bodiesInFlightBytesMax, {
    bytes: limits.smallBodiesReserveBytes,
    bodyBytesMax: limits.smallBodyBytesMax,
  });
  const { enqueue, now } = deps;
  const doors = new Map<string, Door>();
  for (const host of deps.hosts) {
    if (doors.has(host.name)) throw new Error(`two GitHub hosts are named ${host.name}`);
    const checkSignature = createSignatureCheck(host.webhookSecrets);
    doors.set(host.name, {
      intake: { target: host, checkSignature, limits, room, enqueue, now },
      log: deps.log.child({ github: host.name }),
    });
  }
  return doors;
}

/** One delivery to its outcome, logged and counted; whatever fails unexpectedly ends as `error`. */
async function receiveDelivery(
  incoming: IncomingMessage,
  { intake, log }: Door,
  { onDelivery, now, inSpan = untraced }: Pick<ReceiverDeps, 'onDelivery' | 'now' | 'inSpan'>,
): Promise<DeliveryOutcome> {
  const begunMs = now().getTime();
  let delivery: AcceptedDelivery;
  try {
    delivery = await inSpan(
      DELIVERY_SPAN,
      { 'everlog.host': intake.target.host },
      () => acceptDelivery(incoming, intake),
      ({ event, outcome }) => ({ 'everlog.event': countedEvent(event), 'everlog.outcome': outcome.outcome }),
    );
  } catch (error) {
    delivery = describeUnread(incoming, { outcome: 'error' });
    const stack = error instanceof Error ? error.stack : undefined;
    log.error({ guid: delivery.guid, error: messageOf(error), stack }, 'delivery failed unexpectedly');
  }
  const { outcome } = delivery;
  logDelivery(log, delivery);
  const isUnprocessable = outcome.outcome === 'ignored' && outcome.reason === UNPROCESSABLE;
  const at = now();
  onDelivery({
    host: intake.target.host,
    event: countedEvent(delivery.event),
    outcome: outcome.outcome,
    reason: isUnprocessable ? UNPROCESSABLE : null,
    isTaken: STATUS[outcome.outcome] < 400,
    at,
    durationMs: Math.max(0, at.getTime() - begunMs),
  });
  return outcome;
}

function logDelivery(log: Log, delivery: AcceptedDelivery): void {
  const { outcome, guid, event, action, bodyBytes, job } = delivery;
  const data: Readonly<Record<string, unknown>> = job?.data ?? {};
  const fields = {
    guid,
    event,
    action,
    ...outcome,
    body_bytes: bodyBytes,
    run_id: data['run_id'],
    run_attempt: data['run_attempt'],
    job_id: data['job_id'],
    installation_id: data['installation_id'],
  };
  if (outcome.outcome === 'ignored' && outcome.reason !== UNPROCESSABLE) log.debug(fields, 'delivery');
  else if (outcome.outcome === 'ignored' || STATUS[outcome.outcome] >= 400) log.warn(fields, 'delivery');
  else log.info(fields, 'delivery');
}

function countedEvent(event: string | null): CountedEvent {
  return USED_EVENTS.find((used) => used === event) ?? 'other';
}

function unknownHost(name: string | null): DeliveryOutcome {
  return name === null
    ? { outcome: 'not_found', reason: 'several GitHub hosts are configured: use /webhooks/<host name>' }
    : { outcome: 'not_found', reason: 'no GitHub host of this name is configured' };
}

function answerDelivery(c: Context, outcome: DeliveryOutcome): Response {
  return c.json(outcome, STATUS[outcome.outcome]);
}
