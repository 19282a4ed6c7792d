import type { IncomingMessage } from 'node:http';
import { EverlogError } from '../errors.ts';
import type { NewJob } from '../queue/catalog.ts';
import { JsonText } from '../json-text.ts';
import { readDelivery, type Payload } from './delivery.ts';
import { headerForLog, readDeliveryHeaders, type DeliveryHeaders } from './delivery-headers.ts';
import type { ReceiverLimits } from './limits.ts';
import { UNPROCESSABLE, type DeliveryOutcome } from './outcome.ts';
import { declaredBytesOf, readBody, type BodyRead, type BodyRoom } from './read-body.ts';
import type { SignatureCheck } from './signature.ts';
import { wrongTarget, type ExpectedTarget } from './target.ts';

/** What one webhook address needs to judge its deliveries. */
export interface Intake {
  readonly target: ExpectedTarget;
  readonly checkSignature: SignatureCheck;
  readonly limits: ReceiverLimits;
  readonly room: BodyRoom;
  readonly enqueue: (job: NewJob) => Promise<'queued' | 'duplicate'>;
  readonly now: () => Date;
}

/** How a delivery ended, with what may be logged of it. */
export interface AcceptedDelivery {
  readonly outcome: DeliveryOutcome;
  readonly guid: string | null;
  readonly event: string | null;
  readonly action: string | null;
  /** Null when the body was not read. */
  readonly bodyBytes: number | null;
  /** The job it asked for, whether or not the queue took it. */
  readonly job: NewJob | null;
}

/** What a delivery that came no further than its headers is known by. */
export function describeUnread(incoming: IncomingMessage, outcome: DeliveryOutcome): AcceptedDelivery {
  return {
    outcome,
    guid: headerForLog(incoming.headers, 'x-github-delivery'),
    event: headerForLog(incoming.headers, 'x-github-event'),
    action: null,
    bodyBytes: null,
    job: null,
  };
}

const UNREAD: { readonly [K in Exclude<BodyRead['kind'], 'body'>]: DeliveryOutcome } = {
  too_large: { outcome: 'too_large', reason: 'the body is over the size limit' },
  no_room: { outcome: 'unavailable', reason: 'too many bodies are in flight' },
  too_slow: { outcome: 'timeout', reason: 'the body did not arrive in time' },
  cut: { outcome: 'malformed', reason: 'the connection ended before the body did' },
};

/** Keeps a byte order mark and refuses what is not UTF-8, so that the text encodes back to exactly the signed bytes. */
const STRICT_UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Takes a delivery from its request to its outcome, with the checks in the order of CONTRACT §3. `queued` and
 * `duplicate` only after the queue has confirmed.
 * @throws whatever `enqueue` rejects with other than `queue_unavailable`.
 */
export async function acceptDelivery(incoming: IncomingMessage, intake: Intake): Promise<AcceptedDelivery> {
  const read = readDeliveryHeaders(incoming.headers);
  if (!read.ok) return describeUnread(incoming, read.outcome);
  const share = intake.room.open(declaredBytesOf(incoming));
  try {
    const body = await readBody(incoming, intake.limits, share);
    if (body.kind !== 'body') return describeUnread(incoming, UNREAD[body.kind]);
    const judged = await judgeBody(read.headers, body.bytes, intake);
    const outcome = 'job' in judged ? await enqueueInTime(judged.job, intake) : judged.outcome;
    return {
      outcome,
      guid: read.headers.guid,
      event: read.headers.event,
      action: judged.action,
      bodyBytes: body.bytes.length,
      job: 'job' in judged ? judged.job : null,
    };
  } finally {
    share.release();
  }
}

type JudgedBody =
  | { readonly action: string | null; readonly outcome: DeliveryOutcome }
  | { readonly action: string; readonly job: NewJob };

async function judgeBody(headers: DeliveryHeaders, bytes: Buffer, intake: Intake): Promise<JudgedBody> {
  if (bytes.length === 0) return refuse('malformed', 'the body is empty');
  const text = decodeStrictly(bytes);
  if (text === null) return refuse('malformed', 'the body is not UTF-8');
  if (!(await intake.checkSignature(text, headers.signature))) {
    return refuse('bad_signature', 'the signature matches none of the configured secrets');
  }
  const elsewhere = wrongTarget(headers, intake.target);
  if (elsewhere !== null) return refuse('wrong_target', elsewhere);
  const payload = JsonText.read(text);
  if (payload === null) return refuse('malformed', 'the body is not JSON');
  return judgePayload(headers, payload, intake);
}

function judgePayload(headers: DeliveryHeaders, payload: Payload, intake: Intake): JudgedBody {
  const context = { host: intake.target.host, guid: headers.guid, receivedAt: intake.now() };
  const reading = readDelivery(headers.event, payload, context);
  switch (reading.kind) {
    case 'pong':
      return { action: null, outcome: { outcome: 'pong' } };
    case 'job':
      return { action: reading.action, job: reading.job };
    case 'unused':
      return { action: reading.action, outcome: { outcome: 'ignored', reason: reading.reason } };
    case 'unprocessable':
      return {
        action: reading.action,
        outcome: { outcome: 'ignored', reason: UNPROCESSABLE, problems: reading.problems },
      };
  }
}

function refuse(outcome: 'malformed' | 'bad_signature' | 'wrong_target', reason: string): JudgedBody {
  return { action: null, outcome: { outcome, reason } };
}

/** Queues the job, or says `unavailable` when the queue does not confirm in time: GitHub then lists the delivery as failed. */
async function enqueueInTime(job: NewJob, intake: Intake): Promise<DeliveryOutcome> {
  let timer: NodeJS.Timeout | undefined;
  const overdue = new Promise<'overdue'>((resolve) => {
    timer = setTimeout(() => resolve('overdue'), intake.limits.enqueueTimeoutMs);
  });
  try {
    const answer = await Promise.race([intake.enqueue(job), overdue]);
    return answer === 'overdue' ? notConfirmed() : { outcome: answer };
  } catch (error) {
    if (error instanceof EverlogError && error.code === 'queue_unavailable') return notConfirmed();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

function notConfirmed(): DeliveryOutcome {
  return { outcome: 'unavailable', reason: 'the queue did not confirm the job in time' };
}

function decodeStrictly(bytes: Buffer): string | null {
  try {
    return STRICT_UTF8.decode(bytes);
  } catch {
    return null;
  }
}
