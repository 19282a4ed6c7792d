import { z } from 'zod';
import { JsonText, objectText } from '../json-text.ts';
import { momentMs } from '../units.ts';

/**
 * The record of a job, `everlog.job/v1` (CONTRACT §5): how the job ended, and where its log is or why there is none.
 * Readers take fields they know and pass the others through; unknown enum values pass through as well.
 */

/** How a job ended in the archive. */
export const OUTCOMES = [
  'archived',
  'not_produced',
  'not_a_job',
  'carried_over',
  'unavailable',
  'expired',
  'forbidden',
  'too_large',
  'erased',
] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** Absences that a later look may still overturn. */
const PROVISIONAL: readonly string[] = ['unavailable', 'forbidden'] satisfies Outcome[];

/** Whether a record of this outcome may be superseded by a later look. */
export function isProvisional(outcome: string): boolean {
  return PROVISIONAL.includes(outcome);
}

/** Whether a record of this outcome says that the job never ran: open again once GitHub lists it with steps or a runner. */
export function isNeverRan(outcome: string): boolean {
  return outcome === 'not_produced' || outcome === 'not_a_job';
}

/** How Everlog came to know of a job. */
export const SOURCES = ['webhook', 'redelivery', 'sweep', 'reconcile', 'backfill', 'adopted'] as const;
export type Source = (typeof SOURCES)[number];

export const DETAILS_SOURCES = ['api', 'list', 'webhook'] as const;
export type DetailsSource = (typeof DETAILS_SOURCES)[number];

const nullableString = z.string().nullable();

const logFields = z.object({
  key: z.string(),
  version_id: nullableString,
  sha256: z.string(),
  bytes: z.number(),
  lines: z.number(),
  stored_sha256: z.string(),
  stored_bytes: z.number(),
  encoding: z.string(),
  /** Places where the gzip stream can be entered; records of earlier versions do not name them. */
  points: z
    .array(z.tuple([z.number(), z.number(), z.number(), z.number().nullable(), z.string()]).readonly())
    .readonly()
    .nullable()
    .optional(),
});

const fetchFields = z.object({
  source: z.string(),
  delivery_ids: z.array(z.string()),
  attempts: z.number(),
  log_host: nullableString,
  http_status: z.number().nullable(),
  etag: nullableString,
  content_md5: nullableString,
  request_id: nullableString,
  possibly_truncated: z.boolean(),
  requested_at: nullableString,
  finished_at: nullableString,
});

const absenceFields = z.object({
  reason: z.string(),
  api_status: z.number().nullable(),
  log_status: z.number().nullable(),
  tries: z.number(),
  first_tried_at: nullableString,
  last_tried_at: nullableString,
  /** For `carried_over`: the job that ran. */
  of_job_id: z.number().optional(),
});

const recordFields = z.object({
  schema: z.literal('everlog.job/v1'),
  outcome: z.string(),
  revision: z.number(),
  supersedes: nullableString,
  host: z.string(),
  owner: z.string(),
  repo: z.string(),
  repository_id: z.number().nullable(),
  installation_id: z.number().nullable(),
  run_id: z.number(),
  run_attempt: z.number().nullable(),
  job_id: z.number(),
  job_name: nullableString,
  workflow_name: nullableString,
  head_branch: nullableString,
  head_sha: nullableString,
  conclusion: nullableString,
  runner_name: nullableString,
  labels: z.array(z.string()).nullable(),
  sender: nullableString,
  created_at: nullableString,
  started_at: nullableString,
  completed_at: nullableString,
  details_source: z.string(),
  job_sha256: nullableString,
  log: logFields.nullable(),
  fetch: fetchFields,
  absence: absenceFields.nullable(),
  recorded_at: z.string(),
  archiver: z.object({ name: z.string(), version: z.string() }),
});

/** For reading: members of a later version pass through. */
const recordSchema = recordFields
  .extend({
    log: logFields.loose().nullable(),
    fetch: fetchFields.loose(),
    absence: absenceFields.loose().nullable(),
  })
  .loose();

export type RecordedLog = z.infer<typeof logFields>;

export type RecordedAbsence = z.infer<typeof absenceFields>;

/** What GitHub said of a job, in its own text. Whatever JSON it is, it makes no record unreadable. */
interface SaidByGitHub {
  /** The job object. */
  readonly job: JsonText;
  /** The delivery's `deployment`, for jobs with an environment. */
  readonly deployment: JsonText | null;
}

/** A record as it stands in the archive. */
export type JobRecord = z.infer<typeof recordFields> & SaidByGitHub;

/** What is read of a record that stands in the archive. */
export type ParsedRecord =
  { readonly ok: true; readonly record: JobRecord } | { readonly ok: false; readonly problem: string };

/** Reads a record's bytes; says what is wrong with them instead of throwing, as anybody may have written them. */
export function parseRecord(bytes: Uint8Array): ParsedRecord {
  const read = parseRecordJson(bytes);
  if (read === null) return { ok: false, problem: 'not UTF-8 JSON' };
  const parsed = recordSchema.safeParse(read.value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return {
      ok: false,
      problem: `${issue?.path.join('.') ?? 'record'}: ${issue?.message ?? 'not a record'}`,
    };
  }
  const job = read.json.member('job');
  if (job === null) return { ok: false, problem: 'job: missing' };
  const deployment = read.json.member('deployment');
  return {
    ok: true,
    record: { ...parsed.data, job, deployment: deployment?.text === 'null' ? null : deployment },
  };
}

function parseRecordJson(bytes: Uint8Array): ReturnType<typeof JsonText.read> {
  try {
    return JsonText.read(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return null;
  }
}

/** The bytes of a record: one JSON document, ended by a line feed, in which `job` is GitHub's text. */
export function serializeRecord(record: JobRecord): Buffer {
  return Buffer.from(`${objectText(record)}\n`);
}

/** The moment a job belongs to: its end, else the best time known of it. ISO 8601. */
export function momentOf(record: JobRecord): string {
  const { completed_at, started_at, created_at, recorded_at } = record;
  return [completed_at, started_at, created_at].find((text) => momentMs(text) !== null) ?? recorded_at;
}

/** How a job ended, in one word: its conclusion, or why there is no log. */
export function resultOf(record: JobRecord): string {
  return record.log === null ? record.outcome : (record.conclusion ?? '–');
}

/** A repository as records name it. */
export type RecordRepository = Pick<JobRecord, 'host' | 'owner' | 'repo' | 'repository_id'>;
