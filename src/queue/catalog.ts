import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { z } from 'zod';
import { isNameForKeys } from '../archive/keys.ts';
import { JsonText, objectText } from '../json-text.ts';
import { SOURCES } from '../archive/record.ts';

/**
 * The job catalog: what may be queued, under which id, with which data, and how often it is tried. Receivers and
 * schedules add jobs by it, workers read them by it.
 */

/** A queue is what one role of worker consumes (`everlog work --only`). */
export const QUEUE_NAMES = ['archive', 'upkeep', 'seal'] as const;
export type QueueName = (typeof QUEUE_NAMES)[number];

const id = z.int().positive();
const name = z.string().refine(isNameForKeys, 'not a GitHub owner or repository name');
const instant = z.iso.datetime({ offset: true });

const archiveJobSchema = z.object({
  host: z.string().min(1),
  owner: name,
  repo: name,
  repository_id: id.nullable(),
  installation_id: id.nullable(),
  run_id: id,
  run_attempt: id.nullable(),
  job_id: id,
  sender: z.string().nullable(),
  delivery_ids: z.array(z.string()),
  source: z.enum(SOURCES),
  /** When Everlog first heard of the job: the last resort for the day in the log's key. */
  received_at: instant,
  /** The delivery's `workflow_job` (and `deployment`), packed; null when the job was found by listing. */
  delivered: z.string().nullable(),
  /** Looks at a log that should exist and did not. */
  looks: z.object({ count: z.int().min(0), first_at: instant, last_at: instant }).nullable(),
  /** Spool space, in bytes, that an earlier try found to be needed. */
  spool_bytes: z.int().positive().nullable(),
  /** The moment from which GitHub may be called for this job, reserved when its installation's budget was spent. */
  slot_at: instant.nullable(),
});

const sweepRunSchema = z.object({
  host: z.string().min(1),
  owner: name,
  repo: name,
  repository_id: id.nullable(),
  installation_id: id.nullable(),
  run_id: id,
  run_attempt: id,
  /** Sweeps done so far that found the attempt unfinished. */
  rounds: z.int().min(0),
  /** Of the newest sweeps, how many in a row did not find the run. */
  gone_looks: z.int().min(0).optional(),
  requested_at: instant,
});

const installationChangedSchema = z.object({
  host: z.string().min(1),
  installation_id: id,
  action: z.enum(['unsuspend', 'deleted']),
  received_at: instant,
});

/** What is done for one host at every interval. */
const perHostSchema = z.object({ host: z.string().min(1) });

/** Nothing beside the moment it runs at matters to it. */
const nothingSchema = z.object({});

const reconcileRepositorySchema = z.object({
  host: z.string().min(1),
  owner: name,
  repo: name,
  repository_id: id,
  installation_id: id.nullable(),
  /** Which runs are looked at: those of the lookback, or all that can still change. */
  pass: z.enum(['recent', 'daily']),
  /** When it began: its windows end there. Null: not yet. */
  started_at: instant.nullable(),
  /** Runs created until then are compared; a broken-off job goes on behind. */
  done_until: instant.nullable(),
  /** Until when the repository was compared before: what was created since then is looked through. */
  compared_through: instant.nullable().optional(),
  /** When the newest run that is known of it began. */
  last_run_at: instant.nullable().optional(),
});

export type ReconcileHosts = z.infer<typeof nothingSchema>;
export type Seal = z.infer<typeof nothingSchema>;
export type UpdateIndex = z.infer<typeof nothingSchema>;
export type ReconcileRepository = z.infer<typeof reconcileRepositorySchema>;
export type ArchiveJob = z.infer<typeof archiveJobSchema>;
export type SweepRun = z.infer<typeof sweepRunSchema>;
export type InstallationChanged = z.infer<typeof installationChangedSchema>;
export type PerHost = z.infer<typeof perHostSchema>;

/** A job to be queued: its name and data as the catalog knows them. */
export type NewJob =
  | { readonly name: 'archive-job'; readonly data: ArchiveJob }
  /** `delayMs`: how long it may rest; a sweep that waits longer already is brought forward. */
  | { readonly name: 'sweep-run'; readonly data: SweepRun; readonly delayMs: number }
  | { readonly name: 'installation-changed'; readonly data: InstallationChanged }
  | { readonly name: 'reconcile-hosts'; readonly data: ReconcileHosts }
  | { readonly name: 'reconcile-repository'; readonly data: ReconcileRepository }
  /** Appends a digest to the ledger. */
  | { readonly name: 'seal'; readonly data: Seal }
  /** Adds what was sealed to the query index; merges its parts. */
  | { readonly name: 'update-index'; readonly data: UpdateIndex }
  | { readonly name: 'compact-index'; readonly data: UpdateIndex }
  /** Asks GitHub to send failed deliveries again. */
  | { readonly name: 'redeliver'; readonly data: PerHost }
  /** Looks which installations were suspended, unsuspended or removed without an event that arrived. */
  | { readonly name: 'poll-installations'; readonly data: PerHost };
export type JobName = NewJob['name'];
/** The data of one kind of job. */
export type JobData<N extends JobName> = Extract<NewJob, { name: N }>['data'];

interface CatalogEntry<N extends JobName> {
  readonly queue: QueueName;
  readonly schema: z.ZodType<JobData<N>>;
  /** Same id, same job: BullMQ refuses ids that hold `:` or are all digits. */
  readonly id: (data: JobData<N>) => string;
  /** Counted tries before the job is left in `failed`. At the capped pace (five minutes, full jitter) 200 are about eight hours. */
  readonly attempts: number;
}

export const CATALOG: { readonly [N in JobName]: CatalogEntry<N> } = {
  'archive-job': {
    queue: 'archive',
    schema: archiveJobSchema,
    id: (data) => archiveJobId(data.host, data.job_id),
    attempts: 200,
  },
  'sweep-run': {
    queue: 'upkeep',
    schema: sweepRunSchema,
    id: (data) => `run-${idPart(data.host)}-${data.run_id}-${data.run_attempt}`,
    attempts: 200,
  },
  'installation-changed': {
    queue: 'upkeep',
    schema: installationChangedSchema,
    id: (data) =>
      `installation-${idPart(data.host)}-${data.installation_id}-${data.action}-${Date.parse(data.received_at)}`,
    attempts: 20,
  },
  'reconcile-hosts': {
    queue: 'upkeep',
    schema: nothingSchema,
    id: () => 'reconcile-hosts',
    attempts: 20,
  },
  'reconcile-repository': {
    queue: 'upkeep',
    schema: reconcileRepositorySchema,
    id: (data) => `reconcile-${data.pass}-${idPart(data.host)}-${data.repository_id}`,
    attempts: 20,
  },
  redeliver: {
    queue: 'upkeep',
    schema: perHostSchema,
    id: (data) => `redeliver-${idPart(data.host)}`,
    attempts: 5,
  },
  'poll-installations': {
    queue: 'upkeep',
    schema: perHostSchema,
    id: (data) => `poll-installations-${idPart(data.host)}`,
    attempts: 5,
  },
  'update-index': {
    queue: 'upkeep',
    schema: nothingSchema,
    id: () => 'update-index',
    attempts: 5,
  },
  'compact-index': {
    queue: 'upkeep',
    schema: nothingSchema,
    id: () => 'compact-index',
    attempts: 5,
  },
  seal: {
    queue: 'seal',
    schema: nothingSchema,
    id: () => 'seal',
    attempts: 20,
  },
};

/** A run is swept this long after it was asked for, in case that the event of its end is lost: hosted jobs end within 6 h. */
export const SWEEP_LATE_MS = 6 * 60 * 60_000;
/** A run that has ended is swept this soon: its jobs' own deliveries arrive within seconds. */
export const SWEEP_SOON_MS = 5_000;

/** The queue id of a new job. */
export function queueIdOf(job: NewJob): string {
  switch (job.name) {
    case 'archive-job':
      return CATALOG['archive-job'].id(job.data);
    case 'sweep-run':
      return CATALOG['sweep-run'].id(job.data);
    case 'installation-changed':
      return CATALOG['installation-changed'].id(job.data);
    case 'reconcile-hosts':
      return CATALOG['reconcile-hosts'].id(job.data);
    case 'reconcile-repository':
      return CATALOG['reconcile-repository'].id(job.data);
    case 'seal':
    case 'update-index':
    case 'compact-index':
      return CATALOG[job.name].id(job.data);
    case 'redeliver':
    case 'poll-installations':
      return CATALOG[job.name].id(job.data);
  }
}

/** The queue id under which a job's log is fetched. */
export function archiveJobId(host: string, jobId: number): string {
  return `job-${idPart(host)}-${jobId}`;
}

/** An IPv6 host holds colons, which BullMQ does not allow in ids. */
function idPart(host: string): string {
  return host.replaceAll(':', '_');
}

/** What a delivery said about its job beyond the ids, in its own text. */
export interface Delivered {
  /** The delivery's `workflow_job` object. */
  readonly workflow_job: JsonText;
  /** The delivery's `deployment` object, for jobs with an environment. */
  readonly deployment: JsonText | null;
}

/** A packed delivery larger than this when unpacked was not packed by Everlog: deliveries are 25 MiB at most. */
const DELIVERED_BYTES_MAX = 32 * 1024 * 1024;

/** A third less time than the defaults take, of the receiver's most costly step, for a twentieth more bytes (measured). */
const PACKING = { level: 3, windowBits: 13, memLevel: 6 } as const;

/** Packs what a delivery said (deflate, base64): about 650 bytes for a job of 30 steps. */
export function packDelivered(delivered: Delivered): string {
  return deflateRawSync(objectText(delivered), PACKING).toString('base64');
}

/**
 * Unpacks what a delivery said. What earlier versions packed, who wrote it anew, is read likewise.
 * @throws Error when the text was not packed by `packDelivered`.
 */
export function unpackDelivered(packed: string): Delivered {
  const json = inflateRawSync(Buffer.from(packed, 'base64'), { maxOutputLength: DELIVERED_BYTES_MAX });
  const said = JsonText.read(json.toString('utf8'))?.json;
  const workflow_job = said?.member('workflow_job');
  if (workflow_job?.isObject() !== true) throw new Error('a packed delivery without a job');
  const deployment = said?.member('deployment') ?? null;
  return { workflow_job, deployment: deployment?.text === 'null' ? null : deployment };
}
