import { z } from 'zod';
import { CATALOG } from '../queue/catalog.ts';
import { PUT_OFF_REASONS, type BacklogStatistics } from '../queue/backlog.ts';
import type { FailedJob, QueueCounts } from '../queue/job-queue.ts';
import type { KeyValueNotes } from '../queue/key-value-notes.ts';
import type { PendingCommits } from '../queue/pending-commits.ts';
import type { QueuedState } from '../queue/queued-state.ts';

/** What commands may add: jobs whose logs are to be fetched. */
const addedJobSchema = z.object({ name: z.literal('archive-job'), data: CATALOG['archive-job'].schema });
export type AddedJob = z.infer<typeof addedJobSchema>;

/**
 * What a command may ask of the service that owns an embedded queue. The same shape is answered by the queue itself, so a
 * command does not care which of the two it holds.
 */
export interface QueueControl {
  /** Makes a job durable in the queue; see `JobQueue.add`. */
  add(job: AddedJob): Promise<'queued' | 'duplicate'>;
  /** Jobs whose retries ran out, newest first. */
  failed(limit: number): Promise<readonly FailedJob[]>;
  /** Has a failed job tried again from the start; false when there is no such failed job. */
  retryFailed(id: string): Promise<boolean>;
  /** Takes a failed job out of the queue, and notes it as a gap; false when there is no such failed job. */
  dropFailed(id: string, reason: string): Promise<boolean>;
  /** Where a job stands now. */
  stateOf(id: string): Promise<QueuedState>;
  /** How many jobs stand where, by queue. */
  counts(): Promise<Readonly<Record<string, QueueCounts>>>;
  /** Since when the oldest waits, and why jobs are put off. */
  backlog(): Promise<BacklogStatistics>;
  /** Adds a job to a queue of its own, takes it, and leaves nothing; see `JobQueue.tryWork`. */
  tryWork(): Promise<void>;
  readonly notes: Pick<KeyValueNotes, 'note' | 'noted' | 'setField' | 'fields' | 'claim' | 'release'>;
  /** What was committed and is not sealed yet. */
  readonly pending: Pick<PendingCommits, 'announce' | 'add'>;
}

/** Keys in one request: a command commits one object at a time. */
const KEYS_MAX = 1_000;
const name = z.string().min(1);
const keptMs = z.number().positive();
const keys = z.array(name).max(KEYS_MAX).readonly();

const followUpSchema = z.discriminatedUnion('state', [
  z.object({ state: z.literal('off') }),
  z.object({ state: z.literal('complete') }),
  z.object({ state: z.literal('behind'), problem: z.string() }),
]);

const findingsSchema = z
  .array(z.object({ kind: z.string(), key: z.string(), detail: z.string() }))
  .readonly();

const sealedSchema = z.object({
  outcome: z.literal('sealed'),
  sequence: z.number(),
  digests: z.number(),
  sha256: z.string(),
  keyId: z.string(),
  final: z.boolean(),
  listed: z.boolean(),
  entries: z.number(),
  gaps: z.number(),
  findingCount: z.number(),
  findings: findingsSchema,
  anchor: followUpSchema,
  timeStamps: followUpSchema,
});

/** What became of a seal, as the service tells it. */
const sealAnswerSchema = z.discriminatedUnion('outcome', [
  sealedSchema,
  z.object({ outcome: z.literal('busy') }),
  z.object({
    outcome: z.literal('closed'),
    sequence: z.number(),
    // A service of an earlier version tells none.
    findings: findingsSchema.default([]),
  }),
]);
export type SealAnswer = z.infer<typeof sealAnswerSchema>;

/** What the service itself answers, beside its queue. */
export interface ServiceControl extends QueueControl {
  /** Appends a digest to the ledger; null where the service has no signing key. */
  readonly seal: ((options: { readonly final: boolean }) => Promise<SealAnswer>) | null;
}

/** A question that a command asks over the socket: how it is sent, what the service does, and what comes back. */
export interface ControlRequest<Args, Answer> {
  /** Its name on the wire, which stays: command and service may be of two versions. */
  readonly ask: string;
  readonly bodyOf: (args: Args) => object;
  /** What the service does; null where `body` is no such question. */
  readonly serve: (control: ServiceControl, body: unknown) => Promise<unknown> | null;
  readonly answerOf: (answer: unknown) => Answer;
}

function request<Args extends object, Answer>(
  ask: string,
  args: z.ZodType<Args>,
  answer: z.ZodType<Answer>,
  call: (control: ServiceControl, args: Args) => Promise<Answer>,
): ControlRequest<Args, Answer> {
  return {
    ask,
    bodyOf: (given) => ({ ask, ...given }),
    serve(control, body) {
      const parsed = args.safeParse(body);
      return parsed.success ? call(control, parsed.data) : null;
    },
    answerOf: (given) => answer.parse(given),
  };
}

const instant = z.iso
  .datetime()
  .transform((text) => new Date(text))
  .nullable();

const failedJobsSchema = z.array(
  z.object({
    id: z.string(),
    name: z.string(),
    data: z.unknown(),
    reason: z.string(),
    attempts: z.number(),
    failedAt: instant,
  }),
);

const count = z.number();
const countsSchema = z.record(
  z.string(),
  z.object({ waiting: count, active: count, delayed: count, failed: count }),
);

const backlogSchema = z.object({
  oldestAt: instant,
  putOff: z.record(z.enum(PUT_OFF_REASONS), count),
});

const queuedStateSchema = z.object({
  state: z.enum(['waiting', 'running', 'put_off', 'failed', 'done', 'gone']),
  reason: z.string().nullable(),
  nextAt: instant,
});

const nothing = z.object({});
/** Whatever the service answers says only that it is done. */
const done = z.unknown().transform(() => undefined);
const yesNo = z.boolean();

/** All that a command may ask. */
export const REQUESTS = {
  add: request('add', z.object({ job: addedJobSchema }), z.enum(['queued', 'duplicate']), (it, { job }) =>
    it.add(job),
  ),
  failed: request(
    'failed',
    z.object({ limit: z.int().min(1).max(100_000) }),
    failedJobsSchema.readonly(),
    (it, { limit }) => it.failed(limit),
  ),
  retryFailed: request('retry_failed', z.object({ id: name }), yesNo, (it, { id }) => it.retryFailed(id)),
  dropFailed: request('drop_failed', z.object({ id: name, reason: name }), yesNo, (it, { id, reason }) =>
    it.dropFailed(id, reason),
  ),
  stateOf: request('state_of', z.object({ id: name }), queuedStateSchema, (it, { id }) => it.stateOf(id)),
  counts: request('counts', nothing, countsSchema, (it) => it.counts()),
  backlog: request('census', nothing, backlogSchema, (it) => it.backlog()),
  tryWork: request('try_work', nothing, done, (it) => it.tryWork()),
  seal: request('seal', z.object({ final: z.boolean() }), sealAnswerSchema, ({ seal }, options) =>
    seal === null
      ? Promise.reject(new Error('it has no signing key: set EVERLOG_SIGNING_KEY'))
      : seal(options),
  ),
  note: request('note', z.object({ name, text: z.string(), keptMs }), done, ({ notes }, it) =>
    notes.note(it.name, it.text, it.keptMs),
  ),
  noted: request(
    'noted',
    z.object({ names: z.array(name).readonly() }),
    z.array(z.string().nullable()).readonly(),
    ({ notes }, { names }) => notes.noted(names),
  ),
  setField: request(
    'set_field',
    z.object({ table: name, field: name, text: z.string().nullable() }),
    done,
    ({ notes }, it) => notes.setField(it.table, it.field, it.text),
  ),
  fields: request(
    'fields',
    z.object({ table: name }),
    z.record(z.string(), z.string()),
    ({ notes }, { table }) => notes.fields(table),
  ),
  claim: request('claim', z.object({ name, holder: name, keptMs }), yesNo, ({ notes }, it) =>
    notes.claim(it.name, it.holder, it.keptMs),
  ),
  release: request('release', z.object({ name, holder: name }), done, ({ notes }, it) =>
    notes.release(it.name, it.holder),
  ),
  announce: request('announce', z.object({ keys }), done, ({ pending }, it) => pending.announce(it.keys)),
  addPending: request('commit', z.object({ keys }), done, ({ pending }, it) => pending.add(it.keys)),
} as const;

const named = z.object({ ask: z.string() });
const byName = new Map(Object.values(REQUESTS).map((one) => [one.ask, one]));

/** Has the queue itself answer what came over the socket; null where it is no question of this version. */
export function serveRequest(control: ServiceControl, body: unknown): Promise<unknown> | null {
  const asked = named.safeParse(body);
  return asked.success ? (byName.get(asked.data.ask)?.serve(control, body) ?? null) : null;
}
