import { createHash, type Hash } from 'node:crypto';
import { digestFolder } from '../../../archive/keys.ts';
import { compareKeys } from '../../../store/object-key.ts';
import type { Digest, LedgerEntry } from '../../formats/formats.ts';
import type { DigestFacts } from '../chain/digest-facts.ts';
import { originalOf } from '../chain/ledger-listing.ts';
import { GrowingTree, leafHash } from '../chain/merkle.ts';
import { BadGzip, gunzipped, linesOf, openBytes } from './object-bytes.ts';
import { parseEntry, parseGap } from '../chain/schemas.ts';
import type { Scope } from '../scope.ts';

const ENTRIES_SUFFIX = '.entries.ndjson.gz';
/** Keys measure at most 1,024 bytes each, and an entry holds two. */
const LINE_BYTES_MAX = 16 * 1024;
/** A gaps file of a million lines; more is not read. */
const GAPS_BYTES_MAX = 512 * 1024 * 1024;

/**
 * Reads the entries of a digest and gives each to `onEntry`, checking the file on the way: both hashes and lengths, the number of
 * lines, their order and the tree's root. Reports at most one result on the file. Lines that are no entries are passed over.
 */
export async function readEntries(
  scope: Scope,
  facts: DigestFacts,
  digest: Digest,
  onEntry: (entry: LedgerEntry) => Promise<void>,
): Promise<void> {
  const { entries } = digest;
  const key = digestFolder(facts.sequence) + entries.file;
  const modified = (detail: string): Promise<void> => scope.report({ result: 'MODIFIED', key, detail });
  if (entries.file !== entries.stored_sha256 + ENTRIES_SUFFIX) {
    return modified('the digest names a file that is not called by its hash');
  }
  const stored = createHash('sha256');
  const source = await storedChunks(scope, facts, entries.file, stored);
  if (source === null) {
    return scope.report({
      result: 'MISSING',
      key,
      detail: `the entries of digest ${facts.sequence} are gone`,
    });
  }
  const reading = new EntryReading(digest);
  const problem = await reading.read(source.chunks, onEntry);
  if (problem !== null) return modified(problem);
  if (source.counted() !== entries.stored_bytes || stored.digest('hex') !== entries.stored_sha256) {
    return modified('the stored bytes are not those that the digest names');
  }
  scope.meter.valid += 1;
}

/** Entries files of a folder whose digest is damaged: the one that it names, or the only one. */
function unvouchedFile({ place, digest }: DigestFacts): string | null {
  const files = [...place.files.keys()].filter((name) => name.endsWith(ENTRIES_SUFFIX));
  const named = files.find((name) => name === digest?.entries.file);
  return named ?? (files.length === 1 ? (files[0] ?? null) : null);
}

/**
 * Gives the entries of a digest that cannot be believed, as far as they can be read. Of the file only that is checked that its
 * name says.
 */
export async function readUnvouchedEntries(
  scope: Scope,
  facts: DigestFacts,
  onEntry: (entry: LedgerEntry) => Promise<void>,
): Promise<void> {
  const file = unvouchedFile(facts);
  if (file === null) return;
  const stored = createHash('sha256');
  const source = await storedChunks(scope, { ...facts, entries: null }, file, stored);
  if (source === null) return;
  try {
    for await (const line of linesOf(gunzipped(source.chunks), LINE_BYTES_MAX)) {
      const parsed = parseEntry(line);
      if (parsed.ok) await onEntry(parsed.value);
    }
  } catch (error) {
    if (!(error instanceof BadGzip)) throw error;
  }
  if (stored.digest('hex') === file.slice(0, -ENTRIES_SUFFIX.length)) return;
  const key = digestFolder(facts.sequence) + file;
  await scope.report({ result: 'MODIFIED', key, detail: 'it is not called by its hash' });
}

interface StoredChunks {
  readonly chunks: AsyncIterable<Buffer>;
  readonly counted: () => number;
}

async function storedChunks(
  scope: Scope,
  facts: DigestFacts,
  name: string,
  hash: Hash,
): Promise<StoredChunks | null> {
  let bytes = 0;
  async function* hashed(chunks: AsyncIterable<Buffer> | readonly Buffer[]): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      hash.update(chunk);
      bytes += chunk.length;
      yield chunk;
    }
  }
  const counted = (): number => bytes;
  if (facts.entries !== null) return { chunks: hashed([facts.entries]), counted };
  const object = facts.place.files.get(name);
  const original = object === undefined ? null : originalOf(object);
  const opened = original === null ? null : await openBytes(scope.store, original);
  return opened?.state === 'open' ? { chunks: hashed(opened.chunks), counted } : null;
}

/** One pass over the lines of an entries file. */
class EntryReading {
  readonly #digest: Digest;
  readonly #raw = createHash('sha256');
  readonly #tree = new GrowingTree();
  #bytes = 0;
  #previousKey = '';
  #problem: string | null = null;

  constructor(digest: Digest) {
    this.#digest = digest;
  }

  /** Answers what is wrong with the file; null when nothing is. */
  async read(
    source: AsyncIterable<Buffer>,
    onEntry: (entry: LedgerEntry) => Promise<void>,
  ): Promise<string | null> {
    const { entries } = this.#digest;
    const lines = linesOf(this.#counted(gunzipped(source)), LINE_BYTES_MAX);
    try {
      for (;;) {
        const line = await lines.next();
        if (line.done === true) {
          if (line.value !== 'whole') this.#problem ??= 'it does not end with a whole line';
          break;
        }
        const entry = this.#take(line.value);
        if (entry !== null) await onEntry(entry);
      }
    } catch (error) {
      if (!(error instanceof BadGzip)) throw error;
      return `it cannot be decompressed: ${error.message}`;
    }
    if (this.#problem !== null) return this.#problem;
    if (this.#bytes !== entries.bytes) return `it has ${this.#bytes} bytes, sealed are ${entries.bytes}`;
    if (this.#raw.digest('hex') !== entries.sha256) return 'its lines are not those that the digest names';
    if (this.#tree.size !== entries.count)
      return `it has ${this.#tree.size} lines, sealed are ${entries.count}`;
    return this.#tree.root().toString('hex') === entries.merkle_root
      ? null
      : 'its lines have another Merkle root than the digest says';
  }

  /** Stops at the length that the digest names, so that a bomb is not decompressed. */
  async *#counted(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of source) {
      this.#bytes += chunk.length;
      if (this.#bytes > this.#digest.entries.bytes) {
        this.#problem ??= `it has more than the ${this.#digest.entries.bytes} bytes that are sealed`;
        return;
      }
      this.#raw.update(chunk);
      yield chunk;
    }
  }

  #take(line: Buffer): LedgerEntry | null {
    this.#tree.add(leafHash(line));
    const parsed = parseEntry(line);
    if (!parsed.ok) {
      this.#problem ??= `line ${this.#tree.size} is no entry: ${parsed.problem}`;
      return null;
    }
    const { key } = parsed.value;
    if (this.#previousKey !== '' && compareKeys(this.#previousKey, key) >= 0) {
      this.#problem ??= `line ${this.#tree.size} is out of order`;
    }
    this.#previousKey = key;
    return parsed.value;
  }
}

/** Checks the gaps file of a digest, where there is one. */
export async function checkGaps(scope: Scope, facts: DigestFacts, digest: Digest): Promise<void> {
  const { gaps } = digest.completeness;
  if (gaps === null) return;
  const key = digestFolder(facts.sequence) + gaps.file;
  const object = facts.place.files.get(gaps.file);
  const original = object === undefined ? null : originalOf(object);
  const opened = original === null ? null : await openBytes(scope.store, original);
  if (opened?.state !== 'open') {
    return scope.report({ result: 'MISSING', key, detail: `the gaps of digest ${facts.sequence} are gone` });
  }
  const problem = await gapsProblem(opened.chunks, gaps);
  if (problem !== null) return scope.report({ result: 'MODIFIED', key, detail: problem });
  scope.meter.valid += 1;
}

async function gapsProblem(
  chunks: AsyncIterable<Buffer>,
  gaps: NonNullable<Digest['completeness']['gaps']>,
): Promise<string | null> {
  const hash = createHash('sha256');
  let bytes = 0;
  async function* hashed(): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      hash.update(chunk);
      bytes += chunk.length;
      if (bytes > GAPS_BYTES_MAX) return;
      yield chunk;
    }
  }
  let count = 0;
  let problem: string | null = null;
  for await (const line of linesOf(hashed(), LINE_BYTES_MAX)) {
    count += 1;
    const parsed = parseGap(line);
    if (!parsed.ok) problem ??= `line ${count} is no gap: ${parsed.problem}`;
  }
  const sha256 = hash.digest('hex');
  if (bytes > GAPS_BYTES_MAX) return `it has more than ${GAPS_BYTES_MAX} bytes`;
  if (gaps.file !== `${gaps.stored_sha256}.gaps.ndjson`) return 'it is not called by its hash';
  if (sha256 !== gaps.sha256 || sha256 !== gaps.stored_sha256)
    return 'its bytes are not those that the digest names';
  return problem ?? (count === gaps.count ? null : `it has ${count} lines, sealed are ${gaps.count}`);
}
