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
const keys = z.array(name).max(KEYS_MAX);

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
export const sealAnswerSchema = z.discriminatedUnion('outcome', [
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

/** A request over the socket. */
export const requestSchema = z.discriminatedUnion('ask', [
  z.object({ ask: z.literal('failed'), limit: z.int().min(1).max(100_000) }),
  z.object({ ask: z.literal('retry_failed'), id: z.string().min(1) }),
  z.object({ ask: z.literal('drop_failed'), id: name, reason: name }),
  z.object({ ask: z.literal('state_of'), id: z.string().min(1) }),
  z.object({ ask: z.literal('counts') }),
  z.object({ ask: z.literal('census') }),
  z.object({ ask: z.literal('try_work') }),
  z.object({ ask: z.literal('add'), job: addedJobSchema }),
  z.object({ ask: z.literal('seal'), final: z.boolean() }),
  z.object({ ask: z.literal('note'), name, text: z.string(), keptMs }),
  z.object({ ask: z.literal('noted'), names: z.array(name) }),
  z.object({ ask: z.literal('set_field'), table: name, field: name, text: z.string().nullable() }),
  z.object({ ask: z.literal('fields'), table: name }),
  z.object({ ask: z.literal('announce'), keys }),
  z.object({ ask: z.literal('commit'), keys }),
  z.object({ ask: z.literal('claim'), name, holder: name, keptMs }),
  z.object({ ask: z.literal('release'), name, holder: name }),
]);
export type ControlRequest = z.infer<typeof requestSchema>;

const instant = z.iso
  .datetime()
  .transform((text) => new Date(text))
  .nullable();

export const failedJobsSchema = z.array(
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
export const countsSchema = z.record(
  z.string(),
  z.object({ waiting: count, active: count, delayed: count, failed: count }),
);

export const backlogSchema = z.object({
  oldestAt: instant,
  putOff: z.record(z.enum(PUT_OFF_REASONS), count),
});

export const addedSchema = z.enum(['queued', 'duplicate']);

export const queuedStateSchema = z.object({
  state: z.enum(['waiting', 'running', 'put_off', 'failed', 'done', 'gone']),
  reason: z.string().nullable(),
  nextAt: instant,
});

/** Answers a request by the queue itself. */
export function answerRequest(control: ServiceControl, request: ControlRequest): Promise<unknown> {
  switch (request.ask) {
    case 'failed':
      return control.failed(request.limit);
    case 'retry_failed':
      return control.retryFailed(request.id);
    case 'drop_failed':
      return control.dropFailed(request.id, request.reason);
    case 'state_of':
      return control.stateOf(request.id);
    case 'counts':
      return control.counts();
    case 'census':
      return control.backlog();
    case 'try_work':
      return control.tryWork().then(() => true);
    case 'seal':
      if (control.seal === null)
        return Promise.reject(new Error('it has no signing key: set EVERLOG_SIGNING_KEY'));
      return control.seal({ final: request.final });
    case 'add':
      return control.add(request.job);
    case 'note':
      return control.notes.note(request.name, request.text, request.keptMs).then(() => true);
    case 'noted':
      return control.notes.noted(request.names);
    case 'set_field':
      return control.notes.setField(request.table, request.field, request.text).then(() => true);
    case 'fields':
      return control.notes.fields(request.table);
    case 'announce':
      return control.pending.announce(request.keys).then(() => true);
    case 'commit':
      return control.pending.add(request.keys).then(() => true);
    case 'claim':
      return control.notes.claim(request.name, request.holder, request.keptMs);
    case 'release':
      return control.notes.release(request.name, request.holder).then(() => true);
  }
}
