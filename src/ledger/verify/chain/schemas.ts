import { z } from 'zod';
import { parseKey } from '../../../archive/keys.ts';
import type { Digest, GapLine, KeyObject, LedgerEntry, RevocationObject } from '../../formats/formats.ts';

/**
 * What the verifier takes for a digest, an entry, a key, a record: schemas of its own, so that a mistake of what writes them
 * cannot be its mistake too. Members that a later version adds are passed over.
 */

const hash = z.string().regex(/^[0-9a-f]{64}$/, 'is no SHA-256 in hex');
const count = z.int().min(0);
const moment = z.iso.datetime({ offset: true });
const version = z.string().min(1).max(1_024).nullable();

const digestSchema = z.object({
  schema: z.literal('everlog.digest/v1'),
  stream: z.string().regex(/^[^\s+]{1,200}$/),
  sequence: z.int().min(1),
  window_start: moment,
  window_end: moment,
  created_at: moment,
  interval_seconds: z.number().positive(),
  final: z.boolean(),
  archive: z.string(),
  entries: z.object({
    file: z.string(),
    sha256: hash,
    bytes: count,
    stored_sha256: hash,
    stored_bytes: count,
    count,
    merkle_root: hash,
  }),
  completeness: z.object({
    reconciled_through: moment.nullable(),
    expected: count,
    archived: count,
    absent: z.record(z.string(), count),
    pending: count,
    failed: count,
    gaps: z.object({ file: z.string(), sha256: hash, stored_sha256: hash, count }).nullable(),
  }),
  storage: z.object({
    lock_mode: z.enum(['none', 'GOVERNANCE', 'COMPLIANCE', 'bucket']),
    retention_days: z.int().min(1).nullable(),
    create_only: z.enum(['atomic', 'checked']),
    queue_durability: z.string(),
  }),
  previous: z.object({ sequence: z.int().min(1), sha256: hash }).nullable(),
  key_id: hash,
  algorithm: z.literal('Ed25519'),
}) satisfies z.ZodType<Digest>;

const entryLog = z.object({ key: z.string(), version_id: version, bytes: count, sha256: hash });

const entrySchema = z
  .object({
    type: z.enum(['record', 'run', 'custody', 'key', 'revocation']),
    key: z.string(),
    version_id: version,
    bytes: count,
    sha256: hash,
    log: entryLog.exactOptional(),
  })
  .refine(({ type, key }) => parseKey(key)?.type === type, 'the key is not one of its type')
  .refine(({ type, key, log }) => log === undefined || (type === 'record' && isLogOf(log.key, key)), {
    error: 'the log is not one of the record’s job',
  }) satisfies z.ZodType<LedgerEntry>;

function isLogOf(logKey: string, recordKey: string): boolean {
  const log = parseKey(logKey);
  const record = parseKey(recordKey);
  return (
    log?.type === 'log' &&
    record?.type === 'record' &&
    log.address.host === record.address.host &&
    log.address.runId === record.address.runId &&
    log.address.jobId === record.address.jobId
  );
}

const gapSchema = z.object({
  host: z.string(),
  owner: z.string().nullable(),
  repo: z.string().nullable(),
  repository_id: count.nullable(),
  run_id: count.nullable(),
  run_attempt: count.nullable(),
  job_id: count.nullable(),
  jobs: count,
  reason: z.string(),
  since: moment.nullable(),
}) satisfies z.ZodType<GapLine>;

const signature = z.object({ key_id: hash, signature: z.string().max(200) });

const keySchema = z.object({
  schema: z.literal('everlog.key/v1'),
  key_id: hash,
  algorithm: z.literal('Ed25519'),
  public_key: z.string().max(4_096),
  not_before: moment,
  previous_key_id: hash.nullable(),
  signatures: z.array(signature).max(16),
}) satisfies z.ZodType<KeyObject>;

const revocationSchema = z.object({
  schema: z.literal('everlog.key-revocation/v1'),
  key_id: hash,
  revoked_at: moment,
  reason: z.string(),
  signature,
}) satisfies z.ZodType<RevocationObject>;

const recordSchema = z.object({
  schema: z.literal('everlog.job/v1'),
  outcome: z.string(),
  revision: z.int().min(1),
  host: z.string(),
  owner: z.string(),
  repo: z.string(),
  run_id: z.int(),
  run_attempt: z.int().nullable(),
  job_id: z.int(),
  details_source: z.string().optional(),
  job_sha256: z.string().nullable().optional(),
  recorded_at: z.string().optional(),
  log: z
    .object({
      key: z.string(),
      version_id: z.string().nullable(),
      sha256: hash,
      bytes: count,
      lines: count,
      stored_sha256: hash,
      stored_bytes: count,
      encoding: z.string(),
    })
    .nullable(),
});

/** What the verifier needs of a record. */
export type RecordFacts = z.infer<typeof recordSchema>;

const runSchema = z.object({
  schema: z.literal('everlog.run/v1'),
  revision: z.int().min(1),
  host: z.string(),
  owner: z.string(),
  repo: z.string(),
  run_id: z.int(),
  run_attempt: z.int(),
  expected: z.array(z.int()),
  archived: z.array(z.int()),
  absent: z.array(z.object({ job_id: z.int(), outcome: z.string() })),
  complete: z.boolean(),
  recorded_at: z.string().optional(),
});

/** What the verifier needs of a run attempt's object. */
export type RunFacts = z.infer<typeof runSchema>;

const said = z.string().min(1);

/** All of it is required: a removal that nobody is named for, with no reason or scope, explains nothing. */
const custodySchema = z
  .object({
    schema: z.literal('everlog.custody/v1'),
    id: said,
    action: said,
    // In UTC, as its key names the day.
    at: z.iso.datetime(),
    who: z.object({ name: said, known_by: said, authenticated: z.boolean() }),
    reason: z.string().nullable(),
    case: z.string().nullable(),
    scope: z.record(z.string(), z.string()),
    objects: z.array(z.object({ key: said, version_id: z.string().nullable(), sha256: hash.nullable() })),
    result: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
    archiver: z.object({ name: said, version: said }),
  })
  .refine(({ action, reason }) => action !== 'purge' || isSaid(reason), 'a purge without a reason')
  .refine(
    ({ action, reason, scope }) => action !== 'expiry' || isSaid(reason) || Object.keys(scope).length > 0,
    'an expiry without a rule or a reason',
  );

function isSaid(text: string | null): boolean {
  return text !== null && text.trim() !== '';
}

/** What the verifier needs of a custody object. */
export type CustodyFacts = z.infer<typeof custodySchema>;

export type Parsed<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: string };

const pathSchema = z.object({
  index: count,
  leaf: hash,
  path: z.array(hash),
});

export const parseDigest = parserOf<Digest>(digestSchema);
export const parseEntry = parserOf<LedgerEntry>(entrySchema);
export const parseGap = parserOf<GapLine>(gapSchema);
export const parseKeyObject = parserOf<KeyObject>(keySchema);
export const parseRevocation = parserOf<RevocationObject>(revocationSchema);
export const parseRecordFacts = parserOf<RecordFacts>(recordSchema);
export const parseRunFacts = parserOf<RunFacts>(runSchema);
export const parseCustodyFacts = parserOf<CustodyFacts>(custodySchema);
/** A line of a bundle's inclusion paths. */
export const parseInclusion = parserOf<z.infer<typeof pathSchema>>(pathSchema);

function parserOf<T>(schema: z.ZodType<T>): (bytes: Uint8Array) => Parsed<T> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  return (bytes) => {
    let value: unknown;
    try {
      value = JSON.parse(decoder.decode(bytes));
    } catch {
      return { ok: false, problem: 'it is not UTF-8 JSON' };
    }
    const parsed = schema.safeParse(value);
    if (parsed.success) return { ok: true, value: parsed.data };
    const [issue] = parsed.error.issues;
    const path = issue?.path.join('.') ?? '';
    return { ok: false, problem: `${path === '' ? '' : `${path}: `}${issue?.message ?? 'of another shape'}` };
  };
}
