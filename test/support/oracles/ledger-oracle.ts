import { createHash, createPublicKey, verify } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { z } from 'zod';
import type { S3Fake } from '../servers/s3-fake/s3-fake.ts';

/**
 * Reads a ledger as the contract describes it, with code of its own and nothing of the product's: it throws at the first
 * thing that is not as promised, and answers what it read.
 */

/** An archive as files: every key with its newest bytes. */
export interface ArchiveFiles {
  keys(): readonly string[];
  bytes(key: string): Promise<Buffer>;
}

export interface ReadLedger {
  readonly digests: readonly ReadDigest[];
  /** Keys of all entries below `v1/`, in order of the digests. */
  readonly sealed: readonly string[];
  /** The same of keys and revocations. */
  readonly sealedKeys: readonly string[];
  readonly stream: string;
}

export type ReadDigest = z.infer<typeof digestShape> & {
  readonly raw: Buffer;
  readonly lines: readonly ReadEntry[];
  readonly gapLines: readonly Readonly<Record<string, unknown>>[];
};

export type ReadEntry = z.infer<typeof entryShape>;

const hash = z.string().regex(/^[0-9a-f]{64}$/);
const count = z.int().nonnegative();

const digestShape = z.strictObject({
  schema: z.literal('everlog.digest/v1'),
  stream: z.string().regex(/^everlog\/[0-9a-f]{32}$/),
  sequence: z.int().positive(),
  window_start: z.iso.datetime(),
  window_end: z.iso.datetime(),
  created_at: z.iso.datetime(),
  interval_seconds: z.int().positive(),
  final: z.boolean(),
  archive: z.string(),
  entries: z.strictObject({
    file: z.string(),
    sha256: hash,
    bytes: count,
    stored_sha256: hash,
    stored_bytes: count,
    count,
    merkle_root: hash,
  }),
  completeness: z.strictObject({
    reconciled_through: z.iso.datetime().nullable(),
    expected: count,
    archived: count,
    absent: z.record(z.string(), count),
    pending: count,
    failed: count,
    gaps: z.strictObject({ file: z.string(), sha256: hash, stored_sha256: hash, count }).nullable(),
  }),
  storage: z.strictObject({
    lock_mode: z.string(),
    retention_days: z.number().nullable(),
    create_only: z.enum(['atomic', 'checked']),
    queue_durability: z.string(),
  }),
  previous: z.strictObject({ sequence: z.int().positive(), sha256: hash }).nullable(),
  key_id: hash,
  algorithm: z.literal('Ed25519'),
});

const objectShape = { key: z.string(), version_id: z.string().nullable(), bytes: count, sha256: hash };
const entryShape = z.strictObject({
  type: z.enum(['record', 'run', 'custody', 'key', 'revocation']),
  ...objectShape,
  log: z.strictObject(objectShape).optional(),
});

/** The files of an archive in a folder. */
export function folderFiles(folder: string): ArchiveFiles {
  return {
    keys: () =>
      readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && !entry.name.startsWith('.'))
        .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1)),
    bytes: (key) => Promise.resolve(readFileSync(join(folder, key))),
  };
}

/** The newest objects of a bucket on the S3 fake, below a prefix that ends in `/`. */
export function fakeFiles(fake: S3Fake, bucket: string, prefix: string): ArchiveFiles {
  return {
    keys: () =>
      fake
        .objects(bucket)
        .filter(({ key, isLatest, isDeleteMarker }) => isLatest && !isDeleteMarker && key.startsWith(prefix))
        .map(({ key }) => key.slice(prefix.length)),
    bytes: (key) => fake.read(bucket, prefix + key),
  };
}

/** Reads the whole ledger; throws where it breaks a promise. */
export async function readLedger(files: ArchiveFiles): Promise<ReadLedger> {
  const keys = new Set(files.keys());
  const digests: ReadDigest[] = [];
  const entries: string[] = [];
  const leaves: Buffer[] = [];
  const publicKeys = await readPublicKeys(files, keys);
  for (let sequence = 1; keys.has(digestKeyOf(sequence)); sequence += 1) {
    const raw = await files.bytes(digestKeyOf(sequence));
    const digest = await readOne(files, keys, publicKeys, sequence, raw);
    demand(digests.at(-1)?.final !== true, `digest ${sequence} follows the final one`);
    checkLink(digests.at(-1), digest);
    digests.push(digest);
    for (const { key } of digest.lines) entries.push(key);
    leaves.push(leaf(raw));
    await checkNote(files, keys, publicKeys, digest, leaves);
  }
  demand(new Set(entries).size === entries.length, 'an object has two entries');
  const last = [...keys].filter((key) => key.endsWith('/digest.json')).length;
  demand(last === digests.length, `${last} digests stand, ${digests.length} in a row`);
  const sealed = entries.filter((key) => key.startsWith('v1/'));
  const sealedKeys = entries.filter((key) => !key.startsWith('v1/'));
  return { digests, sealed, sealedKeys, stream: digests[0]?.stream ?? '' };
}

/** Throws unless every record, run, custody object, key and revocation has exactly one entry. */
export async function demandAllSealed(files: ArchiveFiles): Promise<ReadLedger> {
  const ledger = await readLedger(files);
  const committed = files.keys().filter((key) => /^(v1\/(records|runs|custody)|ledger\/keys)\//.test(key));
  const sealed = [...ledger.sealed, ...ledger.sealedKeys];
  demand(
    JSON.stringify([...committed].sort()) === JSON.stringify(sealed.sort()),
    `${committed.length} objects are committed, ${sealed.length} are sealed`,
  );
  return ledger;
}

async function readOne(
  files: ArchiveFiles,
  keys: ReadonlySet<string>,
  publicKeys: ReadonlyMap<string, string>,
  sequence: number,
  raw: Buffer,
): Promise<ReadDigest> {
  demand(raw.length <= 4096, `digest ${sequence} has ${raw.length} bytes`);
  demand(raw.at(-1) === 0x0a && raw.indexOf(0x0a) === raw.length - 1, `digest ${sequence} is not one line`);
  const digest = digestShape.parse(JSON.parse(raw.toString('utf8')));
  demand(`${JSON.stringify(digest)}\n` === raw.toString('utf8'), `digest ${sequence} is not in order`);
  demand(digest.sequence === sequence, `digest ${digest.sequence} stands at ${sequence}`);
  const signature = await files.bytes(`${folderOf(sequence)}${sha256(raw)}.sig`);
  const pem = publicKeys.get(digest.key_id);
  demand(pem !== undefined, `digest ${sequence} is by an unknown key`);
  demand(verify(null, raw, createPublicKey(pem), signature), `digest ${sequence} is not signed`);
  const { entries, completeness } = digest;
  const stored = await files.bytes(folderOf(sequence) + entries.file);
  demand(entries.file === `${entries.stored_sha256}.entries.ndjson.gz`, 'entries file has another name');
  demand(sha256(stored) === entries.stored_sha256 && stored.length === entries.stored_bytes, 'entries file');
  const text = gunzipSync(stored);
  demand(sha256(text) === entries.sha256 && text.length === entries.bytes, 'entries lines');
  const lineTexts = linesIn(text);
  demand(lineTexts.length === entries.count, 'entries count');
  const root = rootOf(lineTexts.map((line) => leaf(Buffer.from(line)))).toString('hex');
  demand(root === entries.merkle_root, 'entries root');
  const lines = lineTexts.map((line) => entryOf(line));
  const inOrder = [...lines].sort((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)));
  demand(JSON.stringify(inOrder) === JSON.stringify(lines), 'entries are not in order');
  for (const entry of lines) await checkEntry(files, keys, entry);
  let gapLines: readonly Readonly<Record<string, unknown>>[] = [];
  if (completeness.gaps !== null) {
    const gaps = await files.bytes(folderOf(sequence) + completeness.gaps.file);
    demand(sha256(gaps) === completeness.gaps.sha256, 'gaps file');
    const parsed = linesIn(gaps).map((line) => z.record(z.string(), z.unknown()).parse(JSON.parse(line)));
    demand(parsed.length === completeness.gaps.count, 'gaps count');
    gapLines = parsed;
  }
  return { ...digest, raw, lines, gapLines };
}

function entryOf(line: string): ReadEntry {
  const entry = entryShape.parse(JSON.parse(line));
  demand(JSON.stringify(entry) === line, `an entry is not in order: ${line}`);
  return entry;
}

async function checkEntry(files: ArchiveFiles, keys: ReadonlySet<string>, entry: ReadEntry): Promise<void> {
  for (const object of [entry, ...(entry.log === undefined ? [] : [entry.log])]) {
    demand(keys.has(object.key), `${object.key} is sealed and not there`);
    const bytes = await files.bytes(object.key);
    demand(bytes.length === object.bytes && sha256(bytes) === object.sha256, `${object.key} differs`);
  }
}

function checkLink(before: ReadDigest | undefined, digest: ReadDigest): void {
  const { sequence, previous } = digest;
  const wanted = before === undefined ? null : { sequence: sequence - 1, sha256: sha256(before.raw) };
  demand(JSON.stringify(previous) === JSON.stringify(wanted), `digest ${sequence} does not follow`);
  demand(Date.parse(digest.window_end) >= Date.parse(digest.window_start), 'window ends before it begins');
  demand(Date.parse(digest.created_at) >= Date.parse(digest.window_end), 'made before its window ended');
  if (before === undefined) return;
  demand(digest.stream === before.stream, 'another ledger');
  demand(digest.window_start === before.window_end, `digest ${sequence} leaves a hole in time`);
}

async function checkNote(
  files: ArchiveFiles,
  keys: ReadonlySet<string>,
  publicKeys: ReadonlyMap<string, string>,
  { sequence, stream, key_id }: ReadDigest,
  leaves: readonly Buffer[],
): Promise<void> {
  const key = `ledger/checkpoints/${String(sequence).padStart(10, '0')}.note`;
  demand(keys.has(key), `${key} is missing`);
  const note = (await files.bytes(key)).toString('utf8');
  const root = rootOf(leaves).toString('base64');
  const text = `${stream}\n${sequence}\n${root}\n`;
  demand(note.startsWith(`${text}\n— ${stream} `), `${key} says something else`);
  const signed = Buffer.from(note.slice(`${text}\n— ${stream} `.length, -1), 'base64');
  const publicKey = createPublicKey(publicKeys.get(key_id) ?? '');
  const raw = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32);
  const keyHash = createHash('sha256')
    .update(Buffer.concat([Buffer.from(`${stream}\n`), Buffer.from([1]), raw]))
    .digest()
    .subarray(0, 4);
  demand(signed.subarray(0, 4).equals(keyHash), `${key} names another key`);
  demand(verify(null, Buffer.from(text), publicKey, signed.subarray(4)), `${key} is not signed`);
}

async function readPublicKeys(
  files: ArchiveFiles,
  keys: ReadonlySet<string>,
): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for (const key of keys) {
    const [, id] = /^ledger\/keys\/([0-9a-f]{64})\.json$/.exec(key) ?? [];
    if (id === undefined) continue;
    const { public_key: pem } = z
      .looseObject({ public_key: z.string() })
      .parse(JSON.parse((await files.bytes(key)).toString('utf8')));
    const spki = createPublicKey(pem).export({ type: 'spki', format: 'der' });
    demand(sha256(spki) === id, `${key} holds another key`);
    found.set(id, pem);
  }
  return found;
}

/** RFC 6962, 2.1, word for word. */
export function rootOf(leaves: readonly Buffer[]): Buffer {
  const [first] = leaves;
  if (first === undefined) return createHash('sha256').digest();
  if (leaves.length === 1) return first;
  let half = 1;
  while (half * 2 < leaves.length) half *= 2;
  const node = Buffer.concat([Buffer.from([1]), rootOf(leaves.slice(0, half)), rootOf(leaves.slice(half))]);
  return createHash('sha256').update(node).digest();
}

function leaf(bytes: Buffer): Buffer {
  return createHash('sha256')
    .update(Buffer.concat([Buffer.from([0]), bytes]))
    .digest();
}

function linesIn(bytes: Buffer): readonly string[] {
  const text = bytes.toString('utf8');
  if (text === '') return [];
  demand(text.endsWith('\n'), 'a last line without its line feed');
  return text.slice(0, -1).split('\n');
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function digestKeyOf(sequence: number): string {
  return `${folderOf(sequence)}digest.json`;
}

function folderOf(sequence: number): string {
  return `ledger/digests/${String(sequence).padStart(10, '0')}/`;
}

function demand(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new Error(otherwise);
}
