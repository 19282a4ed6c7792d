import { checkpointKey, digestKey, digestSignatureKey } from '../../../archive/keys.ts';
import type { Digest } from '../../formats/formats.ts';
import { originalOf, reportOverlays, type LedgerPlace } from './ledger-listing.ts';
import { NOTE_BYTES_MAX } from './note.ts';
import { readBytes, sha256Of } from '../objects/object-bytes.ts';
import { parseDigest } from './schemas.ts';
import type { Scope } from '../scope.ts';

/** The files of one sequence as they were read, before anything is judged. */
export interface DigestFacts {
  readonly sequence: number;
  readonly place: LedgerPlace;
  readonly key: string;
  /** Null where there is no `digest.json`. */
  readonly bytes: Buffer | null;
  readonly sha256: string;
  /** Null where the bytes are no digest; `problem` says why. */
  readonly digest: Digest | null;
  readonly problem: string;
  /** The signature that is named for these very bytes. */
  readonly signature: Buffer | null;
  readonly note: Buffer | null;
  /** The entries file where it is small enough to be held ahead of its turn. */
  readonly entries: Buffer | null;
}

/** The contract's limit for a digest. */
const DIGEST_BYTES_MAX = 4_096;
const SIGNATURE_BYTES_MAX = 64;
/** Entries files up to this size are read ahead: 16 of them are held at most, larger ones are streamed. */
const AHEAD_BYTES_MAX = 256 * 1024;

/** Reads what stands under one sequence. Reports only what stands over the files. */
export async function readDigestFacts(scope: Scope, place: LedgerPlace): Promise<DigestFacts> {
  const { sequence } = place;
  const key = digestKey(sequence);
  const bytes = await fileOf(scope, place, 'digest.json', DIGEST_BYTES_MAX);
  const note = await noteOf(scope, place);
  const base = { sequence, place, key, note };
  if (bytes === null) {
    return { ...base, bytes, sha256: '', digest: null, problem: '', signature: null, entries: null };
  }
  if (bytes === 'too_large') {
    await reportOver(scope, place, 'digest.json');
    const problem = `it has more than the ${DIGEST_BYTES_MAX} bytes of a digest`;
    const nothing = Buffer.alloc(0);
    return { ...base, bytes: nothing, sha256: '', digest: null, problem, signature: null, entries: null };
  }
  const sha256 = sha256Of(bytes);
  const signatureName = digestSignatureKey(sequence, sha256).slice(key.length - 'digest.json'.length);
  const signature = await fileOf(scope, place, signatureName, SIGNATURE_BYTES_MAX);
  const parsed = parseDigest(bytes);
  const digest = parsed.ok ? parsed.value : null;
  const { entries, completeness } = digest ?? { entries: null, completeness: null };
  const files = ['digest.json', signatureName, entries?.file, completeness?.gaps?.file];
  for (const name of new Set(files)) await reportOver(scope, place, name);
  return {
    ...base,
    bytes,
    sha256,
    digest,
    problem: parsed.ok ? '' : parsed.problem,
    signature: signature === 'too_large' ? Buffer.alloc(0) : signature,
    entries: await entriesAhead(scope, place, digest),
  };
}

/** What a crashed sealer left beside the digest's own files concerns nobody, in however many versions. */
async function reportOver(scope: Scope, place: LedgerPlace, name: string | undefined): Promise<void> {
  const object = name === undefined ? undefined : place.files.get(name);
  if (object !== undefined) await reportOverlays(object, scope.report);
}

async function fileOf(
  scope: Scope,
  place: LedgerPlace,
  name: string,
  bytesMax: number,
): Promise<Buffer | 'too_large' | null> {
  const object = place.files.get(name);
  if (object === undefined) return null;
  const original = originalOf(object);
  if (original === null) return null;
  const read = await readBytes(scope.store, original, bytesMax);
  if (read.state === 'too_large') return 'too_large';
  return read.state === 'read' ? read.bytes : null;
}

async function noteOf(scope: Scope, place: LedgerPlace): Promise<Buffer | null> {
  if (place.note === null) return null;
  await reportOverlays(place.note, scope.report);
  const original = originalOf(place.note);
  const read = original === null ? null : await readBytes(scope.store, original, NOTE_BYTES_MAX);
  if (read === null || read.state === 'missing' || read.state === 'refused') return null;
  return read.state === 'read' ? read.bytes : Buffer.alloc(0);
}

async function entriesAhead(scope: Scope, place: LedgerPlace, digest: Digest | null): Promise<Buffer | null> {
  if (digest === null || digest.entries.stored_bytes > AHEAD_BYTES_MAX || scope.isBundle) return null;
  const object = place.files.get(digest.entries.file);
  const original = object === undefined ? null : originalOf(object);
  if (original === null) return null;
  const read = await readBytes(scope.store, original, AHEAD_BYTES_MAX);
  return read.state === 'read' ? read.bytes : null;
}

/** Key of the note of a sequence. */
export function noteKeyOf({ sequence }: DigestFacts): string {
  return checkpointKey(sequence);
}
