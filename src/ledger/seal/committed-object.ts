import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { parseCustody } from '../../archive/custody/custody-format.ts';
import { parseKey, type JobAddress, type ParsedKey } from '../../archive/keys.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import type { EntryLog, LedgerEntry } from '../formats/formats.ts';
import { readObject, type ReadObject } from '../object-facts.ts';
import type { SealFinding } from '../seal-report.ts';

/** What the store says of a committed object, and what of it concerns the digest. */
export interface CommittedObject {
  /** Null when the object is gone, or is a custody object that does not say everything it has to. */
  readonly entry: LedgerEntry | null;
  /** The earliest moment that it can have been committed at; a number of milliseconds since 1970. */
  readonly committedMs: number;
  /** Null for other objects than those of runs. */
  readonly run: RunCounts | null;
  readonly findings: readonly SealFinding[];
}

/** What a run attempt's object accounts for. */
export interface RunCounts {
  readonly expected: number;
  readonly archived: number;
  readonly absent: readonly string[];
}

/** Keys that get an entry. */
export type CommittedKey = Exclude<ParsedKey, { readonly type: 'log' }>;

/** A record is a few KB, a run's object under a MiB; of something larger only the hash is taken. */
const CONTENT_BYTES_MAX = 16 * 1024 * 1024;

const runCountsSchema = z.looseObject({
  schema: z.literal('everlog.run/v1'),
  expected: z.array(z.unknown()),
  archived: z.array(z.unknown()),
  absent: z.array(z.looseObject({ outcome: z.string() })),
});

/** No more of a record than an entry says: whatever else another version of Everlog left out or changed, its log is sealed. */
const sealedRecordSchema = z.looseObject({
  schema: z.literal('everlog.job/v1'),
  revision: z.number(),
  host: z.string(),
  owner: z.string(),
  repo: z.string(),
  run_id: z.number(),
  run_attempt: z.number().nullable(),
  job_id: z.number(),
  details_source: z.string().optional(),
  job_sha256: z.string().nullable().optional(),
  recorded_at: z.string(),
  log: z
    .looseObject({
      key: z.string(),
      version_id: z.string().nullable(),
      stored_bytes: z.number(),
      stored_sha256: z.string(),
    })
    .nullable(),
});

type SealedRecord = z.infer<typeof sealedRecordSchema>;

/** Who may sign these was looked at when the keys were listed. */
const keyTimeSchema = z.looseObject({
  not_before: z.iso.datetime().optional(),
  revoked_at: z.iso.datetime().optional(),
});

/** What a key is of; null for a key that gets no entry. */
export function committedKey(key: string): CommittedKey | null {
  const parsed = parseKey(key);
  return parsed === null || parsed.type === 'log' ? null : parsed;
}

/**
 * Reads a committed object and, for an archived job, looks at its log: sizes and hashes are the store's, and where it has no
 * SHA-256 of its own, those of the bytes it serves. What differs from the record is a finding.
 */
export async function readCommitted(
  store: ObjectStore,
  key: string,
  parsed: CommittedKey,
): Promise<CommittedObject> {
  const found = await readObject(store, key, CONTENT_BYTES_MAX);
  if (found === null) {
    const detail = 'it was committed and is gone';
    return { entry: null, committedMs: 0, run: null, findings: [{ kind: 'object_missing', key, detail }] };
  }
  const { type } = parsed;
  const { head, bytes, sha256 } = found;
  const entry: LedgerEntry = { type, key, version_id: head.versionId, bytes, sha256 };
  const differences = head.sha256 === null || head.sha256 === sha256 ? [] : [otherThanItsHash(key)];
  const about = await contents(store, key, parsed, found);
  // What does not say who removed what by whose leave must not become evidence of it.
  const isEvidence = type !== 'custody' || about.at !== null;
  return {
    entry: !isEvidence ? null : about.log === null ? entry : { ...entry, log: about.log },
    committedMs: Math.min(head.lastModified.getTime(), parsedMs(about.at) ?? Infinity),
    run: about.run,
    findings: [...differences, ...about.findings],
  };
}

interface Contents {
  readonly at: string | null;
  readonly log: EntryLog | null;
  readonly run: RunCounts | null;
  readonly findings: readonly SealFinding[];
}

async function contents(
  store: ObjectStore,
  key: string,
  parsed: CommittedKey,
  { content }: ReadObject,
): Promise<Contents> {
  const nothing: Contents = { at: null, log: null, run: null, findings: [] };
  const unreadable = (detail: string): Contents => ({
    ...nothing,
    findings: [{ kind: 'object_unreadable', key, detail }],
  });
  if (content === null) return unreadable('it is larger than any object of its kind');
  const json = parseJson(content);
  if (parsed.type === 'record') {
    const record = sealedRecordSchema.safeParse(json);
    if (!record.success) return unreadable('it is no record');
    if (!isRecordOf(record.data, parsed.address, parsed.revision))
      return unreadable('it says that it belongs under another key');
    const { log, findings } = await logOf(store, record.data.log, parsed.address);
    return { ...nothing, at: record.data.recorded_at, log, findings };
  }
  if (parsed.type === 'key' || parsed.type === 'revocation') {
    const times = keyTimeSchema.safeParse(json);
    return times.success
      ? { ...nothing, at: times.data.not_before ?? times.data.revoked_at ?? null }
      : unreadable('it is no key');
  }
  if (parsed.type === 'custody') {
    const custody = parseCustody(content, key);
    return custody.ok
      ? { ...nothing, at: custody.custody.at }
      : unreadable(`it is no custody object: ${custody.problem}`);
  }
  const run = runCountsSchema.safeParse(json);
  if (!run.success) return unreadable('it is no object of a run');
  const { expected, archived, absent } = run.data;
  const counts = {
    expected: expected.length,
    archived: archived.length,
    absent: absent.map((it) => it.outcome),
  };
  const recordedAt: unknown = run.data['recorded_at'];
  return { ...nothing, at: typeof recordedAt === 'string' ? recordedAt : null, run: counts };
}

async function logOf(
  store: ObjectStore,
  recorded: SealedRecord['log'],
  address: JobAddress,
): Promise<{ log: EntryLog | null; findings: readonly SealFinding[] }> {
  if (recorded === null) return { log: null, findings: [] };
  const named = parseKey(recorded.key);
  if (named?.type !== 'log' || !isDeepStrictEqual(named.address, address)) {
    const detail = `the record of job ${address.jobId} names it, which is no log of that job`;
    return { log: null, findings: [{ kind: 'log_differs', key: recorded.key, detail }] };
  }
  const log = await storedLog(store, recorded.key);
  if (log === null) {
    const detail = 'the record names it and the store does not have it';
    return { log, findings: [{ kind: 'log_missing', key: recorded.key, detail }] };
  }
  const differences = [
    ...(log.bytes === recorded.stored_bytes
      ? []
      : [`it has ${log.bytes} bytes, recorded are ${recorded.stored_bytes}`]),
    ...(log.sha256 === recorded.stored_sha256
      ? []
      : [`its SHA-256 is ${log.sha256}, recorded is ${recorded.stored_sha256}`]),
    // Where the record names none, the store had no versions then.
    ...(recorded.version_id === null || log.version_id === recorded.version_id
      ? []
      : [`its version is ${log.version_id ?? 'none'}, recorded is ${recorded.version_id}`]),
  ];
  if (differences.length === 0) return { log, findings: [] };
  return { log, findings: [{ kind: 'log_differs', key: recorded.key, detail: differences.join('; ') }] };
}

async function storedLog(store: ObjectStore, key: string): Promise<EntryLog | null> {
  const head = await store.head(key);
  if (head === null) return null;
  if (head.sha256 !== null)
    return { key, version_id: head.versionId, bytes: head.bytes, sha256: head.sha256 };
  const read = await readObject(store, key, 0);
  if (read === null) return null;
  return { key, version_id: read.head.versionId, bytes: read.bytes, sha256: read.sha256 };
}

function otherThanItsHash(key: string): SealFinding {
  return {
    kind: 'object_unreadable',
    key,
    detail: 'the bytes that the store serves have another SHA-256 than it says',
  };
}

function isRecordOf(record: SealedRecord, address: JobAddress, revision: number): boolean {
  // An earlier Everlog gave a confirmation by GitHub's listing the number of the revision before; all else of it is right.
  const isByListing = record.details_source === 'list' && (record.job_sha256 ?? null) === null;
  const isMisnumbered = isByListing && revision > 1 && record.revision === revision - 1;
  return (
    (record.revision === revision || isMisnumbered) &&
    record.host === address.host &&
    record.owner.toLowerCase() === address.owner &&
    record.repo.toLowerCase() === address.repo &&
    record.run_id === address.runId &&
    (record.run_attempt ?? 1) === address.runAttempt &&
    record.job_id === address.jobId
  );
}

function parseJson(content: Buffer): unknown {
  try {
    return JSON.parse(content.toString('utf8'));
  } catch {
    return null;
  }
}

function parsedMs(text: string | null): number | null {
  const ms = text === null ? Number.NaN : Date.parse(text);
  return Number.isNaN(ms) ? null : ms;
}
