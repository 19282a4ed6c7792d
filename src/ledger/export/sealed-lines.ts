import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { z } from 'zod';
import { codeOf, EverlogError, retryable } from '../../errors.ts';
import { digestFolder } from '../../archive/keys.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import type { LedgerEntry } from '../formats/formats.ts';
import { AuditPaths } from './audit-paths.ts';
import type { WantedLeaf } from './audit-paths.ts';
import type { StoredDigest } from './digests.ts';

/** A line of a digest's entries file, and the proof that it stands there. */
export interface SealedLine {
  /** The line without its line feed. */
  readonly line: Buffer;
  readonly entry: LedgerEntry;
  readonly leaf: WantedLeaf;
}

export type SealedLines =
  | { readonly ok: true; readonly lines: readonly SealedLine[] }
  /** The entries file is not the one that the digest was made of, so nothing in it is proven. */
  | { readonly ok: false; readonly problem: string };

const hash = z.string().regex(/^[0-9a-f]{64}$/);
const size = z.int().nonnegative();
const log = z.looseObject({ key: z.string(), version_id: z.string().nullable(), bytes: size, sha256: hash });
const entryFields = z.looseObject({
  type: z.enum(['record', 'run', 'custody', 'key', 'revocation']),
  key: z.string(),
  version_id: z.string().nullable(),
  bytes: size,
  sha256: hash,
  log: log.optional(),
});

/** Two keys of 1,024 bytes, two versions and two hashes stay far below. */
const LINE_BYTES_MAX = 64 * 1024;
const LINE_FEED = 0x0a;

/**
 * Reads a digest's entries once and keeps the lines whose key is wanted, with their audit paths. Memory is that of the lines
 * kept and one hash for each level of the tree.
 * @throws EverlogError where the store does not answer.
 */
export async function readSealedLines(
  store: ObjectStore,
  digest: StoredDigest,
  isWanted: (key: string) => boolean,
): Promise<SealedLines> {
  const { entries } = digest;
  const found = await store.read(`${digestFolder(digest.sequence)}${entries.file}`);
  if (found === null) return { ok: false, problem: 'its entries file is missing' };
  const tree = new AuditPaths();
  const lines: SealedLine[] = [];
  const whole = createHash('sha256');
  let count = 0;
  try {
    for await (const line of unzippedLines(found.body, entries.bytes, (chunk) => whole.update(chunk))) {
      count += 1;
      const entry = wantedEntry(line, isWanted);
      const leaf = tree.add(line, entry !== null);
      // A copy, because the line is a view of a chunk that would be kept with it.
      if (entry !== null && leaf !== null) lines.push({ line: Buffer.from(line), entry, leaf });
    }
  } catch (error) {
    return { ok: false, problem: readingProblem(error) };
  }
  const isWhole =
    count === entries.count &&
    whole.digest('hex') === entries.sha256 &&
    tree.end().toString('hex') === entries.merkle_root;
  return isWhole
    ? { ok: true, lines }
    : { ok: false, problem: 'its entries file is not the one it was made of' };
}

/** What the entries file itself is guilty of, and not the store. */
class Unreadable extends Error {}

async function* unzippedLines(
  body: NodeJS.ReadableStream,
  bytesMax: number,
  onChunk: (chunk: Buffer) => void,
): AsyncGenerator<Buffer> {
  const gunzip = createGunzip();
  // A failure of the body destroys `gunzip` with its error, which the loop then throws.
  pipeline(body, gunzip, () => undefined);
  let rest: Buffer = Buffer.alloc(0);
  let bytes = 0;
  try {
    for await (const chunk of gunzip) {
      if (!Buffer.isBuffer(chunk)) throw new Error('entries were not read as bytes');
      bytes += chunk.length;
      if (bytes > bytesMax) throw new Unreadable('its entries file is longer than it says');
      onChunk(chunk);
      const text = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      let from = 0;
      for (let to = text.indexOf(LINE_FEED); to >= 0; to = text.indexOf(LINE_FEED, from)) {
        yield text.subarray(from, to);
        from = to + 1;
      }
      rest = text.subarray(from);
      if (rest.length > LINE_BYTES_MAX) throw new Unreadable('its entries file has a line that is too long');
    }
  } finally {
    gunzip.destroy();
  }
  if (rest.length > 0) throw new Unreadable('its entries file ends within a line');
}

/** The line as an entry where its key is wanted. A line of another shape is no less part of the tree. */
function wantedEntry(line: Buffer, isWanted: (key: string) => boolean): LedgerEntry | null {
  let value: unknown;
  try {
    value = JSON.parse(line.toString('utf8'));
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null || !('key' in value)) return null;
  if (typeof value.key !== 'string' || !isWanted(value.key)) return null;
  const parsed = entryFields.safeParse(value);
  if (!parsed.success) return null;
  const { log: sealedLog, ...entry } = parsed.data;
  return sealedLog === undefined ? entry : { ...entry, log: sealedLog };
}

function readingProblem(error: unknown): string {
  if (error instanceof Unreadable) return error.message;
  if (error instanceof EverlogError) throw error;
  const code = codeOf(error) ?? '';
  if (code.startsWith('Z_')) return 'its entries file cannot be decompressed';
  // Without a code it is a broken invariant of our own, not the store's failure.
  if (code === '') throw error;
  throw retryable('store_unavailable', `reading entries broke off (${code})`, error);
}
