import type { ObjectStore } from '../../../store/object-store.ts';
import { parseKey, recordKey } from '../../../archive/keys.ts';
import { EverlogError } from '../../../errors.ts';
import type { LedgerEntry } from '../../formats/formats.ts';
import { isMisnumbered, isThatCustody, recordDisagreement } from './agreement.ts';
import { checkLog } from './log-contents.ts';
import { hashObject, readBytes, sha256Of, type ObjectPlace } from './object-bytes.ts';
import { retentionProblem, type RetentionPromise } from './retention.ts';
import {
  parseCustodyFacts,
  parseRecordFacts,
  parseRunFacts,
  type CustodyFacts,
  type Parsed,
  type RecordFacts,
  type RunFacts,
} from '../chain/schemas.ts';
import type { Level, Scope } from '../scope.ts';

/** An entry, with what its digest says of all of its objects. */
export interface SealedEntry {
  readonly entry: LedgerEntry;
  readonly sequence: number;
  /** Whether the digest is believed. */
  readonly believed: boolean;
  /** What was promised of its lock, oldest first, until it was sealed. */
  readonly promises: readonly RetentionPromise[];
  /** Whether versions are those of this store: not where the archive was moved. */
  readonly pinned: boolean;
}

/** `gone`: the store does not give it; whether that is a finding shows when the listing is known. */
export type ObjectState = 'sound' | 'flawed' | 'gone';

/** What came of looking at an entry's objects. What is wrong with them was reported, except that they are gone. */
export interface CheckedEntry {
  readonly state: ObjectState;
  /** Null where the entry has no log. */
  readonly log: ObjectState | null;
  /** The run's or custody object's contents where they were read and are those that were sealed. */
  readonly run: RunFacts | null;
  readonly custody: CustodyFacts | null;
  /** When a record or run says that it was written, where it was read; milliseconds since 1970. */
  readonly saidMs: number | null;
}

/** What an object must be. */
interface Expected {
  readonly place: ObjectPlace;
  readonly bytes: number;
  readonly sha256: string;
}

/** Records of jobs with hundreds of steps stay under 1 MiB; a larger object is not read as one. */
const WHOLE_BYTES_MAX = 16 * 1024 * 1024;

/** Compares what the store has with an entry. `ledger` looks at nothing and takes all for sound. */
export async function checkEntry(scope: Scope, sealed: SealedEntry, level: Level): Promise<CheckedEntry> {
  const { entry } = sealed;
  const nothing = { run: null, custody: null, saidMs: null };
  // Custody objects are few, and without their words an erased object cannot be told from a stolen one.
  const own = entry.type === 'custody' && level === 'heads' ? 'bytes' : level;
  if (own === 'ledger') return { state: 'sound', log: entry.log === undefined ? null : 'sound', ...nothing };
  scope.meter.objects += entry.log === undefined ? 1 : 2;
  if (own === 'heads') {
    const state = await checkHead(scope, sealed, expectedOf(sealed, entry));
    const log =
      entry.log === undefined ? null : await checkHead(scope, sealed, expectedOf(sealed, entry.log));
    return { state, log, ...nothing };
  }
  const { state, bytes } = await readSealed(scope, sealed);
  if (entry.type !== 'record') {
    if (bytes === null) return { state, log: null, ...nothing };
    return { state, log: null, ...nothing, ...(await readFacts(scope, entry, bytes)) };
  }
  const record = bytes === null ? null : await readRecord(scope, entry, bytes);
  const ownState = bytes !== null && record === null ? 'flawed' : state;
  const said = { ...nothing, saidMs: momentMs(record?.recorded_at) };
  if (entry.log === undefined) return { state: ownState, log: null, ...said };
  const log = await checkLog(scope, expectedOf(sealed, entry.log), record?.log ?? null);
  const kept = log === 'sound' ? await isKept(scope, sealed, entry.log.key, entry.log.version_id) : true;
  return { state: ownState, log: kept ? log : 'flawed', ...said };
}

function momentMs(text: string | undefined): number | null {
  const ms = Date.parse(text ?? '');
  return Number.isNaN(ms) ? null : ms;
}

/** The version that an entry means. */
export function placeOf(sealed: Pick<SealedEntry, 'pinned'>, it: SealedVersion): ObjectPlace {
  return { key: it.key, versionId: sealed.pinned ? it.version_id : null };
}

interface SealedVersion {
  readonly key: string;
  readonly version_id: string | null;
}

function expectedOf(
  sealed: SealedEntry,
  it: SealedVersion & { readonly bytes: number; readonly sha256: string },
): Expected {
  return { place: placeOf(sealed, it), bytes: it.bytes, sha256: it.sha256 };
}

async function checkHead(scope: Scope, sealed: SealedEntry, expected: Expected): Promise<ObjectState> {
  const { key, versionId } = expected.place;
  const head = await headOf(scope.store, expected.place);
  if (head === null) return 'gone';
  const modified = async (detail: string): Promise<'flawed'> => {
    await scope.report({ result: 'MODIFIED', key, detail });
    return 'flawed';
  };
  if (head.bytes !== expected.bytes) {
    return modified(`it has ${head.bytes} bytes, sealed are ${expected.bytes}`);
  }
  if (head.sha256 !== null && head.sha256 !== expected.sha256) {
    return modified(`the store says SHA-256 ${head.sha256}, sealed is ${expected.sha256}`);
  }
  return (await isKept(scope, sealed, key, versionId, head.lastModified)) ? 'sound' : 'flawed';
}

async function headOf(store: ObjectStore, { key, versionId }: ObjectPlace): ReturnType<ObjectStore['head']> {
  try {
    return await store.head(key, versionId ?? undefined);
  } catch (error) {
    // What the store does not give is as good as gone.
    if (error instanceof EverlogError && error.code === 'store_refused') return null;
    throw error;
  }
}

/** Reads a record, run or custody object; `bytes` are given only when they are those that were sealed. */
async function readSealed(
  scope: Scope,
  sealed: SealedEntry,
): Promise<{ readonly state: ObjectState; readonly bytes: Buffer | null }> {
  const expected = expectedOf(sealed, sealed.entry);
  const { key } = expected.place;
  const flawed = { state: 'flawed', bytes: null } as const;
  const modified = async (detail: string): Promise<typeof flawed> => {
    await scope.report({ result: 'MODIFIED', key, detail });
    return flawed;
  };
  if (expected.bytes > WHOLE_BYTES_MAX) {
    const hashed = await hashObject(scope.store, expected.place, (bytes) => (scope.meter.bytes += bytes));
    if (hashed.state !== 'read') return { state: 'gone', bytes: null };
    return modified(`it was sealed with ${expected.bytes} bytes, which no ${sealed.entry.type} has`);
  }
  const read = await readBytes(scope.store, expected.place, expected.bytes);
  if (read.state === 'missing' || read.state === 'refused') return { state: 'gone', bytes: null };
  if (read.state === 'too_large')
    return modified(`it has more than the ${expected.bytes} bytes that were sealed`);
  scope.meter.bytes += read.bytes.length;
  if (read.bytes.length !== expected.bytes) {
    return modified(`it has ${read.bytes.length} bytes, sealed are ${expected.bytes}`);
  }
  const sha256 = sha256Of(read.bytes);
  if (sha256 !== expected.sha256) return modified(`it has SHA-256 ${sha256}, sealed is ${expected.sha256}`);
  const kept = await isKept(scope, sealed, key, expected.place.versionId, read.lastModified);
  return { state: kept ? 'sound' : 'flawed', bytes: read.bytes };
}

/** What a record's bytes say, if they agree with the key and the entry; null, and reported, if not. */
async function readRecord(scope: Scope, entry: LedgerEntry, bytes: Buffer): Promise<RecordFacts | null> {
  const parsed = parseRecordFacts(bytes);
  const problem = parsed.ok ? disagreement(entry, parsed.value) : parsed.problem;
  const isOdd = problem === null && parsed.ok && isMisnumberedAt(entry.key, parsed.value);
  if (isOdd) await scope.report({ result: 'NOT_CHECKED', key: entry.key, detail: MISNUMBERED });
  if (problem === null && parsed.ok && entry.log === undefined) {
    const isOfBefore = isOdd && (await isLogOfTheOneBefore(scope, entry.key, parsed.value));
    if (parsed.value.log !== null && !isOfBefore) {
      const detail = `its record names it, and it was gone when ${entry.key} was sealed`;
      await scope.report({ result: 'MISSING', key: parsed.value.log.key, detail });
    }
  }
  if (problem === null && parsed.ok) return parsed.value;
  const detail = `it was sealed as it is, but ${problem ?? 'is no record'}`;
  await scope.report({ result: 'MODIFIED', key: entry.key, detail });
  return null;
}

const MISNUMBERED =
  'its number: version 0.1 gave a confirmation by GitHub’s listing that of the revision before it, and sealed its log with that one';

/**
 * Whether a record names the very log of the revision before it, with which that was sealed. Whoever may write objects could
 * call any record a misnumbered one, and hide a log behind it that never was.
 */
async function isLogOfTheOneBefore(scope: Scope, key: string, { log }: RecordFacts): Promise<boolean> {
  const parsed = parseKey(key);
  if (parsed?.type !== 'record' || parsed.revision < 2) return false;
  const place = { key: recordKey(parsed.address, parsed.revision - 1), versionId: null };
  const read = await readBytes(scope.store, place, WHOLE_BYTES_MAX);
  const before = read.state === 'read' ? parseRecordFacts(read.bytes) : null;
  return (
    before?.ok === true &&
    before.value.log?.key === log?.key &&
    before.value.log?.stored_sha256 === log?.stored_sha256 &&
    before.value.log?.stored_bytes === log?.stored_bytes
  );
}

function isMisnumberedAt(key: string, record: RecordFacts): boolean {
  const parsed = parseKey(key);
  return parsed?.type === 'record' && isMisnumbered(parsed.revision, record);
}

function disagreement(entry: LedgerEntry, record: RecordFacts): string | null {
  const parsed = parseKey(entry.key);
  if (parsed?.type !== 'record') return 'its key is not one of a record';
  const other = recordDisagreement(parsed, record);
  if (other !== null) return other;
  const { log } = record;
  if (log === null) return entry.log === undefined ? null : 'the ledger has a log for it and it names none';
  if (entry.log === undefined) return null;
  if (log.key !== entry.log.key) return `it names another log than the ledger, ${log.key}`;
  if (log.stored_sha256 !== entry.log.sha256 || log.stored_bytes !== entry.log.bytes) {
    return `it says ${log.stored_bytes} bytes of SHA-256 ${log.stored_sha256} are stored, the ledger says ${entry.log.bytes} of ${entry.log.sha256}`;
  }
  return log.version_id !== null && entry.log.version_id !== null && log.version_id !== entry.log.version_id
    ? `it names another version of its log than the ledger`
    : null;
}

async function readFacts(scope: Scope, entry: LedgerEntry, bytes: Buffer): Promise<Partial<CheckedEntry>> {
  const unfit = async (parsed: Parsed<unknown>): Promise<Partial<CheckedEntry>> => {
    const problem = parsed.ok ? '' : parsed.problem;
    const detail = `it was sealed as it is, but is no ${entry.type} object: ${problem}`;
    await scope.report({ result: 'MODIFIED', key: entry.key, detail });
    return { state: 'flawed' };
  };
  if (entry.type === 'run') {
    const parsed = parseRunFacts(bytes);
    if (!parsed.ok) return unfit(parsed);
    return { run: parsed.value, saidMs: momentMs(parsed.value.recorded_at) };
  }
  const parsed = parseCustodyFacts(bytes);
  if (!parsed.ok) return unfit(parsed);
  return isThatCustody(entry.key, parsed.value)
    ? { custody: parsed.value }
    : unfit({ ok: false, problem: 'its id or its day is another than its key says' });
}

/** Whether the version is locked for as long as its digest promises; reported if not. */
async function isKept(
  scope: Scope,
  sealed: SealedEntry,
  key: string,
  versionId: string | null,
  lastModified: Date | null = null,
): Promise<boolean> {
  const detail = await retentionProblem(scope, sealed.promises, { key, versionId }, lastModified);
  if (detail === null) return true;
  await scope.report({ result: 'RETENTION_SHORT', key, detail });
  return false;
}
