import { createHash, createPrivateKey, createPublicKey, sign } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { makeKey } from './small-ledger.ts';

/** Ways to tamper with a bundle in a folder. Each changes what the bundle says, so that a check must end with findings. */

/** What chance a damage is given: a whole number below `below`. */
export type Chance = (below: number) => number;

export interface Damage {
  readonly name: string;
  readonly apply: (bundle: string, chance: Chance) => void;
}

/** A bundle's files, as paths in it. */
export function filesOf(bundle: string): string[] {
  return readdirSync(bundle, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(bundle.length + 1))
    .sort();
}

const RECORD = /^v1\/records\//;
const LOG = /^v1\/logs\//;
const DIGEST = /\/digest\.json$/;
const SIGNATURE = /\.sig$/;
const NOTE = /\.note$/;
const LINES = /^entries\/\d+\.ndjson$/;
const PATHS = /\.paths\.ndjson$/;
const REVOCATION = /\.revoked\.json$/;

export const DAMAGES: readonly Damage[] = [
  ...Object.entries({ record: RECORD, log: LOG, digest: DIGEST, signature: SIGNATURE, lines: LINES }).map(
    ([name, kind]): Damage => ({ name: `a bit flipped in a ${name} file`, apply: flipIn(kind) }),
  ),
  { name: 'a bit flipped in an audit path', apply: flipIn(PATHS) },
  { name: 'a bit flipped in a note', apply: flipIn(NOTE, /.(?==\n$)/) },
  { name: 'a bit flipped in the root key', apply: flipInKey },
  { name: 'a bit flipped in a revocation', apply: flipIn(REVOCATION, /.(?==="\}\}\n$)/) },
  ...Object.entries({
    record: RECORD,
    log: LOG,
    digest: DIGEST,
    signature: SIGNATURE,
    paths: PATHS,
    lines: LINES,
  }).map(([name, kind]): Damage => ({
    name: `a ${name} file removed`,
    apply: (bundle, chance) => rmSync(join(bundle, pick(bundle, kind, chance))),
  })),
  {
    name: 'the root key removed',
    apply: (bundle) => rmSync(join(bundle, rootKeyFile(bundle))),
  },
  {
    name: 'a whole digest removed',
    apply: (bundle, chance) =>
      rmSync(dirname(join(bundle, pick(bundle, DIGEST, chance))), { recursive: true }),
  },
  {
    name: 'a record added',
    apply: (bundle, chance) => {
      const record = pick(bundle, RECORD, chance);
      cpSync(join(bundle, record), join(bundle, dirname(record), '123456789.json'));
    },
  },
  {
    name: 'a stray file added under v1',
    apply: (bundle) => {
      mkdirSync(join(bundle, 'v1/notes'), { recursive: true });
      writeFileSync(join(bundle, 'v1/notes/read me.txt'), 'believe this');
    },
  },
  {
    name: 'a log added that no record names',
    apply: (bundle, chance) => {
      const log = pick(bundle, LOG, chance);
      cpSync(join(bundle, log), join(bundle, dirname(log), '1-1-123456789.log.gz'));
    },
  },
  ...[
    'v1/names/host=github.com/id=1/octo-org~octo-repo.json',
    'v1/names/notes.txt',
    'v1/.hidden',
    'v1/logs/.kept/notes.txt',
  ].map((file): Damage => ({
    name: `${file} added`,
    apply: (bundle) => {
      mkdirSync(dirname(join(bundle, file)), { recursive: true });
      writeFileSync(join(bundle, file), '{}');
      utimesSync(join(bundle, file), new Date('2040-01-01'), new Date('2040-01-01'));
    },
  })),
  {
    name: 'a link added beside the records',
    apply: (bundle, chance) => symlinkSync('/', join(bundle, dirname(pick(bundle, RECORD, chance)), 'more')),
  },
  {
    name: 'a revision added and dated in the future',
    apply: (bundle, chance) => {
      const record = pick(bundle, RECORD, chance);
      const revision = join(bundle, record.replace('.json', '.r2.json'));
      writeFileSync(revision, read(bundle, record).replace('"revision":1', '"revision":2'));
      utimesSync(revision, new Date('2040-01-01'), new Date('2040-01-01'));
    },
  },
  { name: 'two records swapped', apply: swap(RECORD) },
  { name: 'two logs swapped', apply: swap(LOG) },
  { name: 'a log replaced together with its record', apply: replaceJob },
  { name: 'a record turned into a link', apply: linkRecord },
  {
    name: 'a line cut off the entries, its path too',
    apply: (bundle) => {
      const lines = longest(bundle, LINES);
      for (const file of [lines, lines.replace('.ndjson', '.paths.ndjson')])
        writeFileSync(join(bundle, file), read(bundle, file).split('\n').slice(1).join('\n'));
    },
  },
  {
    name: 'an entry rewritten for a changed record',
    apply: (bundle, chance) => {
      const record = pick(bundle, RECORD, chance);
      const before = sha256(readFileSync(join(bundle, record)));
      const changed = read(bundle, record).replace('"success"', '"skipped"').replace('"main"', '"maim"');
      writeFileSync(join(bundle, record), changed);
      for (const file of filesOf(bundle).filter((it) => LINES.test(it)))
        writeFileSync(join(bundle, file), read(bundle, file).replace(before, sha256(Buffer.from(changed))));
    },
  },
  { name: 'two audit paths swapped', apply: swapPaths },
  { name: 'an audit path cut short', apply: editPath((path) => path.slice(0, -1)) },
  { name: 'an audit path made longer', apply: editPath((path) => [...path, '0'.repeat(64)]) },
  { name: 'a forged chain with another key', apply: forge },
  {
    name: 'a digest signed by a key that nobody vouches for',
    apply: (bundle, chance) => {
      const stranger = makeKey();
      resign(bundle, pick(bundle, DIGEST, chance), stranger.privatePem, (digest) => ({
        ...digest,
        key_id: stranger.id,
      }));
    },
  },
];

/** Flips one bit of a random file of a kind, but for what `spared` matches: the last digit of base64 has bits that mean nothing. */
function flipIn(kind: RegExp, spared?: RegExp): Damage['apply'] {
  return (bundle, chance) => {
    const file = join(bundle, pick(bundle, kind, chance));
    const bytes = readFileSync(file);
    const text = bytes.toString('latin1');
    const sparedAt = new Set<number>();
    for (const match of spared === undefined ? [] : text.matchAll(new RegExp(spared, 'g')))
      for (let at = match.index; at < match.index + match[0].length; at += 1) sparedAt.add(at);
    let at = chance(bytes.length);
    while (sparedAt.has(at)) at = (at + 1) % bytes.length;
    bytes[at] = (bytes[at] ?? 0) ^ (1 << chance(8));
    writeFileSync(file, bytes);
  };
}

/** In what its file name or its own signature covers. */
function flipInKey(bundle: string, chance: Chance): void {
  const file = join(bundle, rootKeyFile(bundle));
  const text = readFileSync(file, 'utf8');
  const members = ['key_id', 'not_before', 'public_key'];
  const member = members[chance(members.length)] ?? 'key_id';
  const start = text.indexOf(`"${member}":"`) + member.length + 4 + (member === 'public_key' ? 40 : 0);
  const bytes = Buffer.from(text);
  const at = start + chance(18);
  bytes[at] = (bytes[at] ?? 0) ^ (1 << chance(5));
  writeFileSync(file, bytes);
}

/** The key of the earliest digest. */
function rootKeyFile(bundle: string): string {
  const first = filesOf(bundle).find((file) => DIGEST.test(file)) ?? '';
  return `ledger/keys/${String(JSON.parse(read(bundle, first))['key_id'])}.json`;
}

function swap(kind: RegExp): Damage['apply'] {
  return (bundle, chance) => {
    const files = filesOf(bundle).filter((file) => kind.test(file));
    const first = chance(files.length);
    const [a, b] = [files[first] ?? '', files[(first + 1) % files.length] ?? ''];
    renameSync(join(bundle, a), join(bundle, 'aside'));
    renameSync(join(bundle, b), join(bundle, a));
    renameSync(join(bundle, 'aside'), join(bundle, b));
  };
}

function replaceJob(bundle: string, chance: Chance): void {
  const log = pick(bundle, LOG, chance);
  const plain = Buffer.concat([
    gunzipSync(readFileSync(join(bundle, log))),
    Buffer.from('and all was well\n'),
  ]);
  const stored = gzipSync(plain);
  const record = filesOf(bundle).find((file) => RECORD.test(file) && read(bundle, file).includes(log)) ?? '';
  const value = JSON.parse(read(bundle, record));
  Object.assign(value.log, {
    sha256: sha256(plain),
    bytes: plain.length,
    stored_sha256: sha256(stored),
    stored_bytes: stored.length,
  });
  writeFileSync(join(bundle, log), stored);
  writeFileSync(join(bundle, record), `${JSON.stringify(value)}\n`);
}

function linkRecord(bundle: string, chance: Chance): void {
  const record = join(bundle, pick(bundle, RECORD, chance));
  renameSync(record, join(bundle, 'aside.json'));
  symlinkSync(join(bundle, 'aside.json'), record);
}

function swapPaths(bundle: string): void {
  const file = longest(bundle, PATHS);
  const [first = '', second = '', ...rest] = read(bundle, file).split('\n');
  writeFileSync(join(bundle, file), [second, first, ...rest].join('\n'));
}

function editPath(edit: (path: readonly string[]) => readonly string[]): Damage['apply'] {
  return (bundle) => {
    const file = longest(bundle, PATHS);
    const lines = read(bundle, file)
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    const edited = lines.map((line) => JSON.stringify({ ...line, path: edit(line.path) }));
    writeFileSync(join(bundle, file), `${edited.join('\n')}\n`);
  };
}

/** Everything made anew by somebody without the key: a key of his own that calls itself by its true name, and all digests. */
function forge(bundle: string): void {
  const key = makeKey();
  for (const file of filesOf(bundle).filter((it) => it.startsWith('ledger/keys/')))
    rmSync(join(bundle, file));
  const from = '2020-01-01T00:00:00.000Z';
  const signature = signed(key.privatePem, Buffer.from(`everlog.key/v1\n${key.id}\n${from}\n\n`)).toString(
    'base64',
  );
  const object = {
    schema: 'everlog.key/v1',
    key_id: key.id,
    algorithm: 'Ed25519',
    public_key: key.publicPem,
    not_before: from,
    previous_key_id: null,
    signatures: [{ key_id: key.id, signature }],
  };
  writeFileSync(join(bundle, `ledger/keys/${key.id}.json`), `${JSON.stringify(object)}\n`);
  let previous: string | null = null;
  for (const file of filesOf(bundle).filter((it) => DIGEST.test(it))) {
    const before: string | null = previous;
    previous = resign(bundle, file, key.privatePem, (digest) => ({
      ...digest,
      key_id: key.id,
      previous:
        before === null ? digest['previous'] : { sequence: Number(digest['sequence']) - 1, sha256: before },
    }));
  }
  for (const file of filesOf(bundle).filter((it) => NOTE.test(it))) resignNote(bundle, file, key);
}

/** Signs a changed digest; answers its hash. */
function resign(
  bundle: string,
  file: string,
  privatePem: string,
  change: (digest: Record<string, unknown>) => object,
): string {
  const folder = dirname(join(bundle, file));
  const bytes = Buffer.from(`${JSON.stringify(change(JSON.parse(read(bundle, file))))}\n`);
  for (const name of readdirSync(folder)) if (SIGNATURE.test(name)) rmSync(join(folder, name));
  writeFileSync(join(bundle, file), bytes);
  writeFileSync(join(folder, `${sha256(bytes)}.sig`), signed(privatePem, bytes));
  return sha256(bytes);
}

function resignNote(bundle: string, file: string, key: { privatePem: string; publicPem: string }): void {
  const [stream = '', size = '', root = ''] = read(bundle, file).split('\n');
  const text = `${stream}\n${size}\n${root}\n`;
  const raw = createPublicKey(key.publicPem).export({ type: 'spki', format: 'der' }).subarray(-32);
  const name = createHash('sha256')
    .update(`${stream}\n`)
    .update(Buffer.of(1))
    .update(raw)
    .digest()
    .subarray(0, 4);
  const blob = Buffer.concat([name, signed(key.privatePem, Buffer.from(text))]).toString('base64');
  writeFileSync(join(bundle, file), `${text}\n\u2014 ${stream} ${blob}\n`);
}

function signed(privatePem: string, bytes: Buffer): Buffer {
  return sign(null, bytes, createPrivateKey(privatePem));
}

function pick(bundle: string, kind: RegExp, chance: Chance): string {
  const files = filesOf(bundle).filter((file) => kind.test(file));
  const file = files[chance(Math.max(1, files.length))];
  if (file === undefined || !existsSync(join(bundle, file)))
    throw new Error(`no ${kind.source} in the bundle`);
  return file;
}

function longest(bundle: string, kind: RegExp): string {
  const files = filesOf(bundle).filter((file) => kind.test(file));
  const length = (file: string): number => read(bundle, file).length;
  return files.sort((a, b) => length(b) - length(a))[0] ?? '';
}

function read(bundle: string, file: string): string {
  return readFileSync(join(bundle, file), 'utf8');
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
