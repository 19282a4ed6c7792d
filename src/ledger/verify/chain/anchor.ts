import {
  checkpointKey,
  CHECKPOINTS_ROOT,
  digestKey,
  DIGESTS_ROOT,
  parseKey,
  SIGNING_KEYS_ROOT,
} from '../../../archive/keys.ts';
import type { ObjectStore } from '../../../store/object-store.ts';
import { giveUp } from '../../../errors.ts';
import type { Chain } from './chain.ts';
import { NOTE_BYTES_MAX, parseCheckpoint, type Checkpoint } from './note.ts';
import { readBytes, sha256Of } from '../objects/object-bytes.ts';
import { digestsNamed, type Result } from '../results.ts';
import { parseDigest } from './schemas.ts';

/** What vouches for a ledger's tail from outside: a second place with copies, or one note or digest that somebody kept. */
export type AnchorSource =
  | { readonly kind: 'file'; readonly name: string; readonly bytes: Uint8Array }
  | { readonly kind: 'store'; readonly store: Pick<ObjectStore, 'location' | 'read' | 'list'> };

/** The newest digest and the newest note of an anchor: together with the chain they pin everything before. */
export interface Anchored {
  readonly name: string;
  readonly digest: { readonly sequence: number; readonly sha256: string } | null;
  readonly note: Checkpoint | null;
  /** SHA-256 of the files of keys and revocations, by key. */
  readonly keyFiles: ReadonlyMap<string, string>;
}

/** A rotation a day for 25 years. */
const KEY_FILES_MAX = 10_000;

/**
 * Reads an anchor. To be done before the ledger is listed, which then cannot be older.
 * @throws EverlogError `usage` for a file that is neither a note nor a digest
 */
export async function readAnchor(source: AnchorSource): Promise<Anchored> {
  if (source.kind === 'file') return anchorOf(source.name, source.bytes);
  const { store } = source;
  const [digests, notes] = [await newestOf(store, DIGESTS_ROOT), await newestOf(store, CHECKPOINTS_ROOT)];
  const digest = digests === 0 ? null : await bytesOf(store, digestKey(digests));
  const note = notes === 0 ? null : await bytesOf(store, checkpointKey(notes));
  return {
    name: store.location,
    digest: digest === null ? null : { sequence: digests, sha256: sha256Of(digest) },
    note: note === null ? null : parseCheckpoint(note),
    keyFiles: await keyFilesOf(store),
  };
}

async function keyFilesOf(
  store: Pick<ObjectStore, 'location' | 'read' | 'list'>,
): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  let looked = 0;
  for await (const { key } of store.list(SIGNING_KEYS_ROOT)) {
    const parsed = parseKey(key);
    if (parsed?.type !== 'key' && parsed?.type !== 'revocation') continue;
    looked += 1;
    if (looked > KEY_FILES_MAX)
      throw giveUp(
        'ledger_damaged',
        `${store.location} has more than ${KEY_FILES_MAX} files below ${SIGNING_KEYS_ROOT}`,
      );
    const bytes = await bytesOf(store, key);
    if (bytes !== null) files.set(key, sha256Of(bytes));
  }
  return files;
}

function anchorOf(name: string, bytes: Uint8Array): Anchored {
  const note = parseCheckpoint(bytes);
  if (note !== null) return { name, digest: null, note, keyFiles: new Map() };
  const digest = parseDigest(bytes);
  if (!digest.ok) {
    const cure =
      'give a file from ledger/checkpoints/, a digest.json, or a folder or bucket with copies of them';
    throw giveUp(
      'usage',
      `--anchor: ${name} is neither a checkpoint note nor a digest (${digest.problem}): ${cure}`,
    );
  }
  const about = { sequence: digest.value.sequence, sha256: sha256Of(bytes) };
  return { name, digest: about, note: null, keyFiles: new Map() };
}

/** How many digests an anchor vouches for; 0: it is empty. */
export function anchoredTo({ digest, note }: Anchored): number {
  return Math.max(digest?.sequence ?? 0, note?.size ?? 0);
}

/** Compares the chain, when it was walked, with what its anchor says. */
export function judgeAnchor(anchored: Anchored, chain: Chain): Result[] {
  const last = chain.last?.sequence ?? 0;
  const upTo = anchoredTo(anchored);
  const { name, digest, note } = anchored;
  if (upTo === 0) return [unanchored(last, `the anchor ${name} is empty`)];
  const results: Result[] = [];
  if (upTo > last) {
    const missing = digestsNamed(last + 1, upTo);
    const detail = `${missing} stood here once: the anchor ${name} has digest ${upTo}`;
    results.push({ result: 'TRUNCATED', key: digestKey(last + 1), detail });
  } else if (upTo < last) {
    results.push(unanchored(last, `the anchor ${name} vouches for the digests up to ${upTo}`, upTo));
  }
  if (digest !== null && digest.sequence <= last) {
    const ours = chain.hashAt(digest.sequence);
    if (ours !== null && ours !== digest.sha256) results.push(forked(name, digestKey(digest.sequence)));
  }
  if (note !== null && note.size > 0 && note.size <= last) {
    const key = checkpointKey(note.size);
    const root = chain.rootAt(note.size);
    if (root !== null && !root.equals(note.root)) results.push(forked(name, key));
    else if (root === null && digest === null) {
      const detail = `the root of the anchor ${name} cannot be compared: a digest before it is missing or damaged`;
      results.push({ result: 'NOT_CHECKED', key, detail });
    }
  }
  return results;
}

/** Compares the files of keys and revocations, as they stand here, with those that the anchor holds. */
export function judgeAnchoredKeys(anchored: Anchored | null, files: ReadonlyMap<string, string>): Result[] {
  const results: Result[] = [];
  for (const [key, sha256] of anchored?.keyFiles ?? []) {
    const standing = files.get(key);
    if (standing === undefined) {
      results.push({ result: 'MISSING', key, detail: `the anchor ${anchored?.name ?? ''} holds it` });
    } else if (standing !== sha256) {
      const detail = `the anchor ${anchored?.name ?? ''} has other bytes, of SHA-256 ${sha256}`;
      results.push({ result: 'MODIFIED', key, detail });
    }
  }
  return results;
}

/** What is to be known where nothing outside the archive vouches for its tail. */
export function unanchored(last: number, why: string, from = 0): Result {
  const which = digestsNamed(from + 1, last);
  const detail = `${why}: nothing outside this archive vouches that ${which} ${from + 1 === last ? 'is' : 'are'} all there was`;
  return { result: 'UNANCHORED', key: digestKey(Math.max(1, last)), detail };
}

function forked(name: string, key: string): Result {
  return { result: 'FORKED', key, detail: `the anchor ${name} has another history up to here` };
}

async function newestOf(store: Pick<ObjectStore, 'list'>, root: string): Promise<number> {
  let newest = 0;
  for await (const { key } of store.list(root)) {
    const [, digits] = /^(\d{10})(?:\/digest\.json|\.note)$/.exec(key.slice(root.length)) ?? [];
    if (digits !== undefined) newest = Math.max(newest, Number(digits));
  }
  return newest;
}

async function bytesOf(store: Pick<ObjectStore, 'read'>, key: string): Promise<Buffer | null> {
  const read = await readBytes(store, { key, versionId: null }, NOTE_BYTES_MAX);
  return read.state === 'read' ? read.bytes : null;
}
