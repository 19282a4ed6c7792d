import { mkdirSync, readFileSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import {
  folderPut,
  makeKey,
  sha256,
  signatureBy,
  type LedgerMaker,
  type MadeJob,
  type MadeKey,
} from './ledger-maker.ts';

/**
 * What somebody with write access, or with a key, may do to an archive or to a bundle of it, and how verification has to end.
 * The table in `docs/evidence.md` is made of these.
 */
export interface Attack {
  /** Of what it is about, as the table groups it. */
  readonly about: string;
  readonly name: string;
  /** Exit codes of `verify` on the archive, and of `verify` and `verify.sh` on a bundle of it; null: there is no such attack. */
  readonly archive: 0 | 4 | null;
  readonly bundle: 0 | 4 | null;
  /** Digests that are made altogether; 2. */
  readonly digests?: number;
  /** Whether the ledger has entries of its keys; true. */
  readonly sealsKeys?: boolean;
  /** What is sealed after the first digest with two jobs; a job and a digest. */
  readonly seal?: (maker: LedgerMaker, folder: string) => Promise<void>;
  /** What is done to the files afterwards. */
  readonly tamper?: (folder: string, maker: LedgerMaker) => void;
}

/** Made in a bundle by whatever of it is run as a program. */
export const MARK = 'ran';

const FUTURE = new Date('2040-01-01T00:00:00Z');
const HOUR_MS = 3_600_000;

const PLANTED: readonly Attack[] = [
  {
    about: 'planted',
    name: 'a revision is planted and dated in the future',
    archive: 4,
    bundle: 4,
    tamper: (folder, maker) => {
      const file = join(folder, plant(folder, maker, new Date().toISOString()));
      utimesSync(file, FUTURE, FUTURE);
    },
  },
  {
    about: 'planted',
    name: 'a revision is planted that says it was written when the sealed one was',
    archive: 4,
    bundle: 4,
    tamper: (folder, maker) => void plant(folder, maker, String(jobOf(maker).record['recorded_at'])),
  },
  {
    about: 'planted',
    name: 'a log is planted that no record names',
    archive: 0,
    bundle: 4,
    tamper: (folder, maker) => put(folder, jobOf(maker).logKey.replace('.log.gz', '.r9.log.gz'), 'no log'),
  },
  {
    about: 'planted',
    name: 'a file is planted below `v1/names/`',
    archive: 4,
    bundle: 4,
    tamper: (folder) => put(folder, 'v1/names/host=github.com/read-me.txt', 'believe this'),
  },
  {
    about: 'planted',
    name: 'a name of a repository is planted',
    archive: 0,
    bundle: 4,
    tamper: (folder) => put(folder, 'v1/names/host=github.com/id=1/octo-org~other.json', '{}'),
  },
  {
    about: 'planted',
    name: 'a garbage custody object is planted',
    archive: 4,
    bundle: 4,
    tamper: (folder) => put(folder, 'v1/custody/dt=2026-11-20/garbage.json', '\u0000'),
  },
  {
    about: 'planted',
    name: 'a hidden file is planted',
    archive: null,
    bundle: 4,
    tamper: (folder) => put(folder, 'v1/records/.hidden.json', '{}'),
  },
  {
    about: 'planted',
    name: 'a link is planted',
    archive: null,
    bundle: 4,
    tamper: (folder) => symlinkSync('/', join(folder, 'v1/records/more')),
  },
];

const THIEF: Attack = {
  about: 'keys',
  name: 'the thief of a revoked key dates a successor back, and seals',
  archive: 4,
  bundle: 4,
  digests: 4,
  seal: async (maker) => {
    const first = maker.key;
    await maker.addKey(makeKey());
    await sealJob(maker);
    await maker.revoke(first, maker.nowMs - HOUR_MS / 2);
    await sealJob(maker);
    await sealJob(maker, await successorSince(maker, first, 2 * HOUR_MS));
  },
};

const KEYS: readonly Attack[] = [
  {
    about: 'keys',
    name: 'a key says that it follows another, which never signed it, and signs a digest',
    archive: 4,
    bundle: 4,
    sealsKeys: false,
    seal: async (maker, folder) => {
      const key = await maker.addKey(makeKey());
      editJson(join(folder, `ledger/keys/${key.id}.json`), (it) => ({
        ...it,
        signatures: [it['signatures']].flat().filter((one) => Object(one)['key_id'] === key.id),
      }));
      await sealJob(maker);
    },
  },
  {
    about: 'keys',
    name: 'a digest is signed with a key that was revoked before',
    archive: 4,
    bundle: 4,
    digests: 3,
    seal: async (maker) => {
      const first = maker.key;
      await maker.addKey(makeKey());
      await maker.revoke(first, maker.nowMs);
      await sealJob(maker);
      await sealJob(maker, first);
    },
  },
  {
    about: 'keys',
    name: 'none: the pinned key was revoked by its successor, so that a pin on it leads nowhere',
    archive: 4,
    bundle: 4,
    digests: 3,
    seal: async (maker) => {
      const first = maker.key;
      await maker.addKey(makeKey());
      await sealJob(maker);
      await maker.revoke(first, maker.nowMs);
      await sealJob(maker);
    },
  },
  THIEF,
  {
    ...THIEF,
    name: 'the same, and a line in a signature of the revoker says that it follows the thief’s',
    sealsKeys: false,
    tamper: (folder, { key, digests }) => {
      const thief = String(Object(JSON.parse(String(digests.at(-1)?.bytes)))['key_id']);
      editJson(join(folder, `ledger/keys/${key.id}.json`), (it) => ({
        ...it,
        signatures: [it['signatures']].flat().map((one) => followed(Object(one), key, thief)),
      }));
    },
  },
  {
    about: 'keys',
    name: 'a revocation is deleted',
    archive: 4,
    bundle: 4,
    digests: 3,
    seal: async (maker) => {
      await maker.addKey(makeKey());
      await sealJob(maker);
      await maker.revoke(maker.keys[0] ?? maker.key, maker.nowMs);
      await sealJob(maker);
    },
    tamper: (folder, maker) => rmSync(join(folder, `ledger/keys/${maker.keys[0]?.id}.revoked.json`)),
  },
  {
    about: 'keys',
    name: 'a revocation is planted that nobody entitled signed',
    archive: 4,
    bundle: 4,
    sealsKeys: false,
    seal: async (maker) => {
      await maker.revoke(maker.key, maker.nowMs, makeKey());
      await sealJob(maker);
    },
  },
];

/** A log that was removed, and a purge or expiry of it with these members in place of the right ones. */
function removal(name: string, code: 0 | 4, action: string, changes: Record<string, unknown>): Attack {
  return {
    about: 'removal',
    name,
    archive: code,
    bundle: code,
    seal: async (maker, folder) => {
      const { logKey: key } = jobOf(maker);
      const object = { key, version_id: null, sha256: sha256(readFileSync(join(folder, key))) };
      await maker.addCustody(action, [object], changes);
      await sealJob(maker);
    },
    tamper: (folder, maker) => rmSync(join(folder, jobOf(maker).logKey)),
  };
}

const who = { name: 'ada', known_by: 'os_user', authenticated: false };
const REMOVALS: readonly Attack[] = [
  removal('none: a log is purged, and a sealed object says everything', 0, 'purge', {}),
  removal('none: a log has expired by a rule, and a sealed object says which', 0, 'expiry', {
    reason: null,
    scope: { rules: '*/*/* 400d' },
  }),
  removal('a purge without who', 4, 'purge', { who: undefined }),
  removal('a purge without how the name is known', 4, 'purge', { who: { ...who, known_by: undefined } }),
  removal('a purge without a reason', 4, 'purge', { reason: null }),
  removal('a purge without a scope', 4, 'purge', { scope: undefined }),
  removal('a purge without the program', 4, 'purge', { archiver: undefined }),
  removal('an expiry without a rule', 4, 'expiry', { reason: null, scope: {} }),
  removal('a purge under another id', 4, 'purge', { id: 'another' }),
  removal('a hold in the place of a purge', 4, 'hold_added', {}),
];

const CONTENTS: readonly Attack[] = [
  attackOnFiles('a byte of a record is changed', (folder, maker) =>
    flip(join(folder, jobOf(maker).recordKey)),
  ),
  attackOnFiles('a byte of a log is changed', (folder, maker) => flip(join(folder, jobOf(maker).logKey))),
  attackOnFiles('a byte of a digest is changed', (folder, maker) => {
    const file = join(folder, maker.digests[0]?.key ?? '');
    writeFileSync(file, readFileSync(file, 'utf8').replace('"durable"', '"durably"'));
  }),
  attackOnFiles('a record is deleted', (folder, maker) => rmSync(join(folder, jobOf(maker).recordKey))),
  attackOnFiles('a log is deleted', (folder, maker) => rmSync(join(folder, jobOf(maker).logKey))),
  attackOnFiles('the first digest is deleted', (folder, maker) =>
    rmSync(dirname(join(folder, maker.digests[0]?.key ?? '')), { recursive: true }),
  ),
  attackOnFiles('the last digest is deleted, its note is not', (folder, maker) =>
    rmSync(dirname(join(folder, maker.digests.at(-1)?.key ?? '')), { recursive: true }),
  ),
];

/** Runs where a shell calculates with it. */
const SHELL = `leaves[$(>${MARK})]`;

const RUN: readonly Attack[] = [
  attackToRun('a record counts its log’s bytes in shell text, moved there by a tab', (folder, maker) =>
    editLog(join(folder, jobOf(maker).recordKey), { sha256: `0\t${SHELL}`, lines: '' }),
  ),
  attackToRun('a record counts its log’s bytes in shell text', (folder, maker) =>
    editLog(join(folder, jobOf(maker).recordKey), { bytes: SHELL }),
  ),
  attackToRun('a record’s revision is shell text', (folder, maker) =>
    editJson(join(folder, jobOf(maker).recordKey), (it) => ({ ...it, revision: SHELL })),
  ),
  attackToRun('a digest counts its entries in shell text', (folder, maker) =>
    editDigest(folder, maker, (it) => ({ ...it, entries: { ...Object(it['entries']), count: SHELL } })),
  ),
  attackToRun('a digest has no stream and shell text for a root, moved into the count', (folder, maker) =>
    editDigest(folder, maker, (it) => ({
      ...it,
      stream: '',
      entries: { ...Object(it['entries']), merkle_root: SHELL },
    })),
  ),
  attackToRun('a record’s numbers break off what calculates with them', (folder, maker) =>
    editLog(join(folder, jobOf(maker).recordKey), { bytes: '08' }),
  ),
];

function attackToRun(name: string, tamper: NonNullable<Attack['tamper']>): Attack {
  return { about: 'run', name, archive: 4, bundle: 4, tamper };
}

const STRIPPED: Attack = {
  about: 'changed',
  name: 'all entries and objects are taken out of a bundle, its digests stay',
  archive: null,
  bundle: 4,
  tamper: (folder) => {
    for (const part of ['entries', 'v1']) rmSync(join(folder, part), { recursive: true });
  },
};

function attackOnFiles(name: string, tamper: NonNullable<Attack['tamper']>): Attack {
  return { about: 'changed', name, archive: 4, bundle: 4, tamper };
}

/** By whoever has the key, so that every signature holds. */
function sealedWrongly(name: string, seal: NonNullable<Attack['seal']>, more: Partial<Attack> = {}): Attack {
  return { about: 'sealed', name, archive: 4, bundle: 4, seal, ...more };
}

const SEALED: readonly Attack[] = [
  sealedWrongly(
    'the lines of the entries are out of order',
    async (maker) => {
      await maker.addJob();
      await maker.addJob();
      await maker.seal({ entries: (entries) => entries.toReversed() });
    },
    { bundle: null },
  ),
  sealedWrongly('the digest names another Merkle root than that of its entries', async (maker) => {
    await maker.addJob();
    await maker.seal({ root: sha256(Buffer.from('another')) });
  }),
  sealedWrongly('a record says another revision than its key', async (maker) => {
    await maker.addJob(undefined, { revision: 2 });
    await maker.seal();
  }),
  sealedWrongly(
    'none: version 0.1 gave a confirmation by a listing the number of the revision before',
    async (maker) => {
      await maker.addMisnumbered(await maker.addJob());
      await maker.seal();
    },
    { archive: 0, bundle: 0 },
  ),
  sealedWrongly('a revision that is no listing’s has the number of the one before', async (maker) => {
    await maker.addMisnumbered(await maker.addJob(), { details_source: 'api' });
    await maker.seal();
  }),
  sealedWrongly(
    'a listing’s record has the number of the one before, and a log that never was',
    async (maker) => {
      const job = await maker.addJob();
      const key = job.logKey.replace('.log.gz', '.r2.log.gz');
      await maker.addMisnumbered(job, { log: { ...Object(job.record['log']), key } });
      await maker.seal();
    },
  ),
  sealedWrongly('a listing’s record without a number names a log that was not sealed', async (maker) => {
    const job = await maker.addJob();
    await maker.addMisnumbered(job, { revision: 0 });
    await maker.seal();
  }),
  sealedWrongly('the first record of a job has the number 0', async (maker) => {
    await maker.addJob(undefined, { revision: 0, details_source: 'list' });
    await maker.seal();
  }),
  sealedWrongly('a record is of another job than its key', async (maker) => {
    await maker.addJob(undefined, { owner: 'somebody-else' });
    await maker.seal();
  }),
  sealedWrongly('a record counts other lines than its log has', async (maker) => {
    await maker.addJob(undefined, {}, { lines: 7 });
    await maker.seal();
  }),
  sealedWrongly('a window does not begin where the one before it ends', async (maker) => {
    await maker.addJob();
    await maker.seal({ changes: { window_start: new Date(maker.nowMs + 60_000).toISOString() } });
  }),
  sealedWrongly(
    'a digest follows one that closed the ledger',
    async (maker) => {
      await maker.addJob();
      await maker.seal({ final: true });
      await sealJob(maker);
    },
    { digests: 3 },
  ),
  sealedWrongly('a note was signed over other digests', async (maker, folder) => {
    await sealJob(maker);
    const note = maker.digests.at(-1)?.noteKey ?? '';
    const [origin = '', size = '', , , line = ''] = readFileSync(join(folder, note), 'utf8').split('\n');
    const text = `${origin}\n${size}\n${Buffer.alloc(32, 7).toString('base64')}\n`;
    const blob = Buffer.from(line.split(' ').at(-1) ?? '', 'base64').subarray(0, 4);
    const signature = Buffer.concat([blob, signatureBy(maker.key, Buffer.from(text))]);
    put(folder, note, `${text}\n\u2014 ${origin} ${signature.toString('base64')}\n`);
  }),
];

export const ATTACKS: readonly Attack[] = [
  ...PLANTED,
  ...KEYS,
  ...REMOVALS,
  ...CONTENTS,
  ...RUN,
  STRIPPED,
  ...SEALED,
];

/** Adds a job and a digest. */
export async function sealJob(maker: LedgerMaker, key?: MadeKey): Promise<void> {
  await maker.addJob();
  await maker.seal(key === undefined ? {} : { key });
}

async function successorSince(maker: LedgerMaker, of: MadeKey, agoMs: number): Promise<MadeKey> {
  const [own, nowMs] = [[...maker.keys], maker.nowMs];
  maker.nowMs -= agoMs;
  const key = await maker.addKey(makeKey(), of);
  maker.nowMs = nowMs;
  maker.keys.splice(0, maker.keys.length, ...own);
  return key;
}

/** A signature of a key's file with a line behind it, as a tool might read it: that the key follows another. */
function followed(one: Record<string, unknown>, { id }: MadeKey, other: string): object {
  if (one['key_id'] !== id) return one;
  const line = ['everlog.key/v1', id, id, '2020-01-01T00:00:00.000Z', other, one['signature']].join(' ');
  return { ...one, signature: `${String(one['signature'])}\n${line}` };
}

function jobOf(maker: LedgerMaker): MadeJob {
  const [job] = maker.jobs;
  if (job === undefined) throw new Error('there are no jobs');
  return job;
}

/** Plants a second revision of the first job's record; answers its key. */
function plant(folder: string, maker: LedgerMaker, recordedAt: string): string {
  const { record, recordKey } = jobOf(maker);
  const key = recordKey.replace('.json', '.r2.json');
  put(
    folder,
    key,
    JSON.stringify({ ...record, revision: 2, supersedes: recordKey, recorded_at: recordedAt }),
  );
  return key;
}

function put(folder: string, key: string, text: string): void {
  mkdirSync(dirname(join(folder, key)), { recursive: true });
  folderPut(folder)(key, Buffer.from(text));
}

function flip(file: string): void {
  const bytes = readFileSync(file);
  const at = Math.floor(bytes.length / 2);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(file, bytes);
}

function editJson(file: string, edit: (value: Record<string, unknown>) => unknown): void {
  writeFileSync(file, `${JSON.stringify(edit(JSON.parse(readFileSync(file, 'utf8'))))}\n`);
}

function editLog(file: string, changes: Record<string, unknown>): void {
  editJson(file, (it) => ({ ...it, log: { ...Object(it['log']), ...changes } }));
}

function editDigest(
  folder: string,
  maker: LedgerMaker,
  edit: (digest: Record<string, unknown>) => unknown,
): void {
  editJson(join(folder, maker.digests[0]?.key ?? ''), edit);
}
