import { z } from 'zod';
import { isNameForKeys } from '../archive/keys.ts';
import type { JsonText } from '../json-text.ts';
import { packDelivered, SWEEP_LATE_MS, SWEEP_SOON_MS, type NewJob } from '../queue/catalog.ts';

/**
 * What a signed payload asks for. Only the few fields that a job needs are looked at; unknown fields and values pass,
 * as GitHub adds both without notice, and what older servers do not send is null.
 */
export type DeliveryReading =
  | { readonly kind: 'pong' }
  | { readonly kind: 'job'; readonly action: string; readonly job: NewJob }
  /** Another event or action than the ones used. */
  | { readonly kind: 'unused'; readonly action: string | null; readonly reason: string }
  /** A used event without what its job needs. */
  | { readonly kind: 'unprocessable'; readonly action: string | null; readonly problems: readonly string[] };

/** A signed payload: its text, of which members are kept as they were sent, and what JSON.parse makes of it. */
export interface Payload {
  readonly json: JsonText;
  readonly value: unknown;
}

/** What the receiver itself knows of a delivery. */
interface DeliveryContext {
  readonly host: string;
  readonly guid: string;
  readonly receivedAt: Date;
}

/** The events Everlog uses. */
export const USED_EVENTS = ['workflow_job', 'workflow_run', 'installation', 'ping'] as const;

/** Enough to mend a sender by; the answer stays small. */
const PROBLEMS_MAX = 10;
/** Of an event or action in an answer or log line; GitHub's own are under 50. */
const NAME_CHARS_MAX = 100;

const id = z.int().positive();
const name = z.string().refine(isNameForKeys, 'not a GitHub owner or repository name');
const repository = z.object({ id: id.nullish().catch(null), name, owner: z.object({ login: name }) });
/** An attempt that is no number is as one that was not sent. */
const attempt = id.nullish().catch(null);
/** Known to help, not needed: a worker can find the installation by its repository. */
const installation = z.object({ id }).nullish().catch(null);
const sender = z.object({ login: z.string() }).nullish().catch(null);

const jobPayload = z.object({
  workflow_job: z.object({ id, run_id: id, run_attempt: attempt }),
  repository,
  installation,
  sender,
});
const runPayload = z.object({
  workflow_run: z.object({ id, run_attempt: attempt }),
  repository,
  installation,
});
const installationPayload = z.object({ installation: z.object({ id }) });

/** Reads the payload of a signed delivery; never throws for what is in it. */
export function readDelivery(event: string, payload: Payload, context: DeliveryContext): DeliveryReading {
  switch (event) {
    case 'ping':
      return { kind: 'pong' };
    case 'workflow_job':
    case 'workflow_run':
    case 'installation':
      return readUsedEvent(event, payload, context);
    default:
      return { kind: 'unused', action: actionOf(payload.value), reason: `event ${short(event)} is not used` };
  }
}

type ActionEvent = 'workflow_job' | 'workflow_run' | 'installation';

function readUsedEvent(
  event: ActionEvent,
  { json, value: payload }: Payload,
  context: DeliveryContext,
): DeliveryReading {
  if (!isObject(payload)) {
    return { kind: 'unprocessable', action: null, problems: ['payload: not a JSON object'] };
  }
  const action = actionOf(payload);
  if (action === null) return { kind: 'unprocessable', action, problems: ['action: not a string'] };
  if (event === 'workflow_job' && action === 'completed')
    return readJob(action, { json, value: payload }, context);
  if (event === 'workflow_run' && (action === 'requested' || action === 'completed')) {
    return readRunDelivery(action, payload, context);
  }
  if (event === 'installation' && (action === 'unsuspend' || action === 'deleted')) {
    return readInstallation(action, payload, context);
  }
  return { kind: 'unused', action, reason: `action ${action} of event ${event} is not used` };
}

function readJob(action: string, { json, value }: Payload, context: DeliveryContext): DeliveryReading {
  const parsed = jobPayload.safeParse(value);
  if (!parsed.success) return unprocessable(action, parsed.error);
  const { workflow_job: job, repository, installation, sender } = parsed.data;
  const delivered = json.member('workflow_job');
  if (delivered === null) throw new Error('a parsed workflow_job has a text');
  return {
    kind: 'job',
    action,
    job: {
      name: 'archive-job',
      data: {
        ...readPlace(context.host, repository, installation),
        run_id: job.run_id,
        run_attempt: job.run_attempt ?? null,
        job_id: job.id,
        sender: sender?.login ?? null,
        delivery_ids: [context.guid],
        source: 'webhook',
        received_at: context.receivedAt.toISOString(),
        delivered: packDelivered({ workflow_job: delivered, deployment: json.member('deployment') }),
        looks: null,
        spool_bytes: null,
        slot_at: null,
      },
    },
  };
}

function readRunDelivery(
  action: string,
  payload: Record<string, unknown>,
  context: DeliveryContext,
): DeliveryReading {
  const parsed = runPayload.safeParse(payload);
  if (!parsed.success) return unprocessable(action, parsed.error);
  const { workflow_run: run, repository, installation } = parsed.data;
  return {
    kind: 'job',
    action,
    job: {
      name: 'sweep-run',
      data: {
        ...readPlace(context.host, repository, installation),
        run_id: run.id,
        // As in keys: a server too old to say so has only this one.
        run_attempt: run.run_attempt ?? 1,
        rounds: 0,
        requested_at: context.receivedAt.toISOString(),
      },
      delayMs: action === 'completed' ? SWEEP_SOON_MS : SWEEP_LATE_MS,
    },
  };
}

function readInstallation(
  action: 'unsuspend' | 'deleted',
  payload: Record<string, unknown>,
  context: DeliveryContext,
): DeliveryReading {
  const parsed = installationPayload.safeParse(payload);
  if (!parsed.success) return unprocessable(action, parsed.error);
  return {
    kind: 'job',
    action,
    job: {
      name: 'installation-changed',
      data: {
        host: context.host,
        installation_id: parsed.data.installation.id,
        action,
        received_at: context.receivedAt.toISOString(),
      },
    },
  };
}

function readPlace(
  host: string,
  repository: z.infer<typeof jobPayload>['repository'],
  installation: z.infer<typeof jobPayload>['installation'],
): {
  host: string;
  owner: string;
  repo: string;
  repository_id: number | null;
  installation_id: number | null;
} {
  return {
    host,
    owner: repository.owner.login,
    repo: repository.name,
    repository_id: repository.id ?? null,
    installation_id: installation?.id ?? null,
  };
}

function unprocessable(action: string, error: z.ZodError): DeliveryReading {
  const problems = error.issues
    .slice(0, PROBLEMS_MAX)
    .map((issue) => `${issue.path.join('.')}: ${issue.message}`);
  return { kind: 'unprocessable', action, problems };
}

function actionOf(payload: unknown): string | null {
  const action = isObject(payload) ? payload['action'] : undefined;
  return typeof action === 'string' ? short(action) : null;
}

function short(text: string): string {
  return text.slice(0, NAME_CHARS_MAX);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
