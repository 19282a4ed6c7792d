import { cpSync, renameSync, rmSync, utimesSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, test } from 'vitest';
import { openFolderStore } from '../../../src/store/folder/folder-object-store.ts';
import type { ListedVersion } from '../../../src/store/object-store.ts';
import type { AnchorSource } from '../../../src/ledger/verify/chain/anchor.ts';
import { seededRandom } from '../../../src/simulator/random.ts';
import { scaled } from '../../support/harness/everlog-under-test.ts';
import {
  folderPut,
  LedgerMaker,
  makeKey,
  makeLedger,
  sha256,
  signatureBy,
  type MadeDigest,
  type MadeJob,
} from '../../support/oracles/ledger-maker.ts';
import { temporaryFolder } from '../../support/processes/processes.ts';
import {
  fileAt,
  findingsOf,
  oneOf,
  verifyFolder,
  verifyStore,
} from '../../support/harness/verify-under-test.ts';

/** What somebody with write access to a folder can take away, exchange or plant, several times each. */

const COUNT = scaled(5, 20);
const HOUR_MS = 3_600_000;
const DIGESTS = 5;
const TIMEOUT_MS = 60_000;
const random = seededRandom(5);
const folder = temporaryFolder();
/** What an anchor was given. */
const copies = temporaryFolder();
const aside = temporaryFolder();
let maker: LedgerMaker;
let anchor: AnchorSource;

beforeAll(async () => {
  const archive = `file:${folder}`;
  maker = await makeLedger(folderPut(folder), { archive, digests: DIGESTS, jobs: 2, endMs: Date.now() });
  cpSync(join(folder, 'ledger'), join(copies, 'ledger'), { recursive: true });
  anchor = { kind: 'store', store: await openFolderStore({ folder: copies }) };
});

const digestKeyOf = (sequence: number): string =>
  `ledger/digests/${String(sequence).padStart(10, '0')}/digest.json`;

/** Takes a digest's folder away, and its note, until the answer is called. */
function withoutDigests(sequences: readonly number[], withNotes: boolean): () => void {
  const moved: [string, string][] = [];
  const move = (key: string): void => {
    const away = join(aside, key.replaceAll('/', '+'));
    renameSync(join(folder, key), away);
    moved.push([away, join(folder, key)]);
  };
  for (const sequence of sequences) {
    const digest = maker.digests[sequence - 1];
    if (digest === undefined) throw new Error(`there is no digest ${sequence}`);
    move(dirname(digest.key));
    if (withNotes) move(digest.noteKey);
  }
  return () => {
    for (const [away, back] of moved) renameSync(away, back);
  };
}

/** So many of the first or last digests. */
function some(from: 'head' | 'tail'): number[] {
  const count = 1 + Math.floor(random() * (DIGESTS - 1));
  const all = Array.from({ length: DIGESTS }, (_, index) => index + 1);
  return from === 'head' ? all.slice(0, count) : all.slice(-count);
}

async function times(work: () => Promise<void>): Promise<void> {
  for (let count = 0; count < COUNT; count += 1) await work();
}

describe('digests removed', () => {
  test(
    'the first ones leave a gap',
    () =>
      times(async () => {
        const restore = withoutDigests(some('head'), true);
        const verified = await verifyFolder(folder, { pinnedKeyId: maker.key.id });
        expect(findingsOf(verified)).toEqual([`GAP ${digestKeyOf(1)}`]);
        restore();
      }),
    TIMEOUT_MS,
  );

  test(
    'one from the middle leaves a gap',
    () =>
      times(async () => {
        const sequence = 2 + Math.floor(random() * (DIGESTS - 2));
        const restore = withoutDigests([sequence], random() < 0.5);
        const verified = await verifyFolder(folder, { pinnedKeyId: maker.key.id });
        expect(findingsOf(verified)).toEqual([`GAP ${digestKeyOf(sequence)}`]);
        restore();
      }),
    TIMEOUT_MS,
  );

  test(
    'the last ones are missed by an anchor',
    () =>
      times(async () => {
        const removed = some('tail');
        const restore = withoutDigests(removed, true);
        const verified = await verifyFolder(folder, { pinnedKeyId: maker.key.id, anchor });
        expect(findingsOf(verified)).toContain(`TRUNCATED ${digestKeyOf(removed[0] ?? 0)}`);
        restore();
      }),
    TIMEOUT_MS,
  );

  test(
    'the last ones are missed by a note that somebody kept',
    () =>
      times(async () => {
        const removed = some('tail');
        const kept = maker.digests.at(-1)?.noteKey ?? '';
        const { bytes } = fileAt(folder, kept);
        const restore = withoutDigests(removed, true);
        const verified = await verifyFolder(folder, { anchor: { kind: 'file', name: 'kept.note', bytes } });
        expect(findingsOf(verified)).toContain(`TRUNCATED ${digestKeyOf(removed[0] ?? 0)}`);
        restore();
      }),
    TIMEOUT_MS,
  );

  test(
    'the last ones are missed by the clock, as nothing can have been sealed for so long',
    () =>
      times(async () => {
        const removed = some('tail');
        const restore = withoutDigests(removed, true);
        const now = (): Date =>
          new Date(Date.now() + (2.1 - removed.length) * HOUR_MS + removed.length * 1_000);
        const verified = await verifyFolder(folder, { now });
        const first = digestKeyOf(removed[0] ?? 0);
        // By a clock that is behind, what the removed digests covered is of the future besides.
        const findings = findingsOf(verified).filter((line) => !line.startsWith('UNSEALED v1/records/'));
        expect(findings).toEqual([`TRUNCATED ${first}`]);
        restore();
      }),
    TIMEOUT_MS,
  );

  test(
    'a note that was left behind tells of them',
    () =>
      times(async () => {
        const removed = some('tail');
        const restore = withoutDigests(removed, false);
        const verified = await verifyFolder(folder, { pinnedKeyId: maker.key.id });
        expect(findingsOf(verified)).toContain(`TRUNCATED ${digestKeyOf(removed[0] ?? 0)}`);
        restore();
      }),
    TIMEOUT_MS,
  );
});

test('a digest that was sealed while the ledger was being listed is not missed', async () => {
  const store = await openFolderStore({ folder });
  const newest = dirname(maker.digests.at(-1)?.key ?? '');
  async function* listedBefore(prefix: string): AsyncGenerator<ListedVersion> {
    for await (const listed of store.listVersions(prefix)) if (!listed.key.startsWith(newest)) yield listed;
  }
  const verified = await verifyStore({ ...store, listVersions: listedBefore });
  expect(findingsOf(verified)).toEqual([]);
  // Its records and their logs wait, as far as could be seen.
  const waiting = expect.stringMatching(/^NOT_CHECKED v1\/records\//);
  expect(verified.lines).toEqual([waiting, `UNANCHORED ${digestKeyOf(DIGESTS - 1)}`]);
});

test(
  'an object removed is missing',
  () =>
    times(async () => {
      const job = oneOf(maker.jobs, random);
      const key = random() < 0.5 ? job.recordKey : job.logKey;
      const file = fileAt(folder, key);
      file.remove();
      expect(findingsOf(await verifyFolder(folder))).toEqual([`MISSING ${key}`]);
      file.restore();
    }),
  TIMEOUT_MS,
);

test(
  'files of the ledger that are removed are missing',
  () =>
    times(async () => {
      const digest = oneOf(maker.digests.slice(0, -1), random);
      const what = oneOf(['entriesKey', 'noteKey', 'signatureKey'] as const, random);
      const file = fileAt(folder, digest[what]);
      file.remove();
      const word = what === 'signatureKey' ? 'BAD_SIGNATURE' : 'MISSING';
      expect(findingsOf(await verifyFolder(folder))).toEqual([`${word} ${digest[what]}`]);
      file.restore();
    }),
  TIMEOUT_MS,
);

test(
  'a record swapped with another’s is modified, and so is the other',
  () =>
    times(async () => {
      const first = oneOf(maker.jobs, random);
      const second = oneOf(
        maker.jobs.filter((job) => job !== first),
        random,
      );
      const [a, b] = [fileAt(folder, first.recordKey), fileAt(folder, second.recordKey)];
      a.write(b.bytes);
      b.write(a.bytes);
      const expected = [`MODIFIED ${first.recordKey}`, `MODIFIED ${second.recordKey}`].sort();
      expect(findingsOf(await verifyFolder(folder))).toEqual(expected);
      a.restore();
      b.restore();
    }),
  TIMEOUT_MS,
);

test(
  'a log replaced together with its record is modified, and so is the record',
  () =>
    times(async () => {
      const job = oneOf(maker.jobs, random);
      const [log, record] = [fileAt(folder, job.logKey), fileAt(folder, job.recordKey)];
      const text = Buffer.from(`all tests passed ${random()}\n`);
      const stored = gzipSync(text);
      const claims = {
        ...Object(job.record['log']),
        sha256: sha256(text),
        bytes: text.length,
        lines: 1,
        stored_sha256: sha256(stored),
        stored_bytes: stored.length,
      };
      log.write(stored);
      record.write(Buffer.from(`${JSON.stringify({ ...job.record, log: claims })}\n`));
      const expected = [`MODIFIED ${job.logKey}`, `MODIFIED ${job.recordKey}`];
      expect(findingsOf(await verifyFolder(folder))).toEqual(expected);
      log.restore();
      record.restore();
    }),
  TIMEOUT_MS,
);

describe('what is planted', () => {
  const place = 'host=github.com/owner=octo-org/repo=octo-repo';
  const DAY_MS = 24 * HOUR_MS;

  /** Plants an object that the store dates at this moment; answers what verification finds, and takes it away. */
  async function findingsWith(key: string, bytes: Buffer | string, datedMs = Date.now()): Promise<string[]> {
    folderPut(folder)(key, Buffer.from(bytes));
    utimesSync(join(folder, key), new Date(datedMs), new Date(datedMs));
    const findings = findingsOf(await verifyFolder(folder));
    rmSync(join(folder, key));
    return findings;
  }

  const firstJob = (): MadeJob => {
    const [job] = maker.jobs;
    if (job === undefined) throw new Error('there are no jobs');
    return job;
  };
  const secondRevision = (): string => firstJob().recordKey.replace('.json', '.r2.json');
  const revision = (recordedMs: number, changes: object = {}): string =>
    JSON.stringify({
      ...firstJob().record,
      revision: 2,
      supersedes: firstJob().recordKey,
      recorded_at: new Date(recordedMs).toISOString(),
      ...changes,
    });

  test.each([
    `v1/records/${place}/77/1/7.json`,
    `v1/runs/${place}/77/1.json`,
    'v1/custody/dt=2026-11-20/planted.json',
    'v1/anything/else.txt',
    'v1/names/host=github.com/notes.txt',
    `v1/logs/${place}/notes.txt`,
  ])('at %s and is not what belongs there is in no digest, whatever its time', async (key) => {
    for (const datedMs of [Date.now() - 3 * DAY_MS, Date.now(), Date.now() + 3 * DAY_MS])
      expect(await findingsWith(key, '{}\n', datedMs)).toEqual([`UNSEALED ${key}`]);
  });

  test('a revision dated in the future, or that says so, is in no digest', async () => {
    const expected = [`UNSEALED ${secondRevision()}`];
    expect(await findingsWith(secondRevision(), revision(Date.now()), Date.now() + DAY_MS)).toEqual(expected);
    expect(await findingsWith(secondRevision(), revision(Date.now() + DAY_MS))).toEqual(expected);
  });

  test('a revision that says that it was written two windows ago, or when the first was, is in no digest', async () => {
    const expected = [`UNSEALED ${secondRevision()}`];
    const twoWindowsAgo = Date.now() - 2 * HOUR_MS - 60_000;
    expect(await findingsWith(secondRevision(), revision(twoWindowsAgo))).toEqual(expected);
    const copied = Date.parse(String(firstJob().record['recorded_at']));
    expect(await findingsWith(secondRevision(), revision(copied))).toEqual(expected);
    expect(await findingsWith(secondRevision(), revision(Date.now()), twoWindowsAgo)).toEqual(expected);
    const first = `v1/records/${place}/77/1/7.json`;
    const fields = { revision: 1, supersedes: null, run_id: 77, job_id: 7 };
    expect(await findingsWith(first, revision(twoWindowsAgo, fields))).toEqual([`UNSEALED ${first}`]);
    expect(await findingsWith(first, revision(Date.now(), fields))).toEqual([]);
  });

  test('a record of another job, another revision or no moment is in no digest', async () => {
    const expected = [`UNSEALED ${secondRevision()}`];
    for (const changes of [{ job_id: 5 }, { revision: 1 }, { recorded_at: undefined }, { host: 'ghe.io' }])
      expect(await findingsWith(secondRevision(), revision(Date.now(), changes))).toEqual(expected);
  });

  test('what may be waiting for its digest is told, and is no finding', async () => {
    folderPut(folder)(secondRevision(), Buffer.from(revision(Date.now())));
    const verified = await verifyFolder(folder);
    expect(findingsOf(verified)).toEqual([]);
    expect(verified.lines).toContain(`NOT_CHECKED ${secondRevision()}`);
    const outside = { fromMs: null, toMs: Date.now() - 60_000 };
    expect((await verifyFolder(folder, { range: outside })).lines).not.toContain(
      `NOT_CHECKED ${secondRevision()}`,
    );
    rmSync(join(folder, secondRevision()));
  });

  test('a log that no record names is told at once, whatever its time', async () => {
    const key = `v1/logs/${place}/dt=2026-11-20/1-1-1.log.gz`;
    for (const datedMs of [Date.now() - 3 * DAY_MS, Date.now() + 3 * DAY_MS]) {
      folderPut(folder)(key, Buffer.from('left by a crash'));
      utimesSync(join(folder, key), new Date(datedMs), new Date(datedMs));
      expect((await verifyFolder(folder)).lines).toContain(`NOT_CHECKED ${key}`);
      rmSync(join(folder, key));
    }
  });

  test('what was sealed before the range, or is dated before it, hides nothing in it', async () => {
    const range = { fromMs: Date.now() - 1.5 * HOUR_MS, toMs: null };
    expect(findingsOf(await verifyFolder(folder, { range }))).toEqual([]);
    const key = `v1/records/${place}/77/1/7.json`;
    folderPut(folder)(key, Buffer.from('{}'));
    const longAgo = new Date(Date.now() - 30 * DAY_MS);
    utimesSync(join(folder, key), longAgo, longAgo);
    expect(findingsOf(await verifyFolder(folder, { range }))).toEqual([`UNSEALED ${key}`]);
    rmSync(join(folder, key));
  });
});

describe('a whole chain forged with another key', () => {
  const forged = temporaryFolder();
  let chain: MadeDigest[];

  /** The same archive with a ledger of somebody else's making. */
  async function forge(): Promise<void> {
    rmSync(forged, { recursive: true, force: true });
    const startMs = Date.now() - DIGESTS * HOUR_MS;
    const forger = new LedgerMaker(folderPut(forged), { archive: `file:${forged}`, startMs, key: makeKey() });
    for (let digest = 0; digest < DIGESTS; digest += 1) {
      await forger.addJob();
      await forger.seal();
    }
    chain = forger.digests;
  }

  test(
    'is by a key that nobody knows',
    () =>
      times(async () => {
        await forge();
        const verified = await verifyFolder(forged, { pinnedKeyId: maker.key.id });
        const digests = chain.map(({ key }) => `UNKNOWN_KEY ${key}`);
        expect(findingsOf(verified)).toEqual(
          [...digests, `UNKNOWN_KEY ledger/keys/${maker.key.id}.json`].sort(),
        );
      }),
    TIMEOUT_MS,
  );

  test(
    'is not the history that an anchor has',
    () =>
      times(async () => {
        await forge();
        const verified = await verifyFolder(forged, { anchor });
        const last = chain.at(-1);
        const lacking = `MISSING ledger/keys/${maker.key.id}.json`;
        expect(findingsOf(verified)).toEqual(
          [lacking, `FORKED ${last?.noteKey}`, `FORKED ${last?.key}`].sort(),
        );
      }),
    TIMEOUT_MS,
  );
});

test('one digest rewritten by whoever has the key is a fork, also where the chain after it goes on', async () => {
  const rewritten = temporaryFolder();
  const put = folderPut(rewritten);
  const rewriter = await makeLedger(put, {
    archive: `file:${rewritten}`,
    digests: 3,
    jobs: 1,
    endMs: Date.now(),
  });
  const other = temporaryFolder();
  const second = new LedgerMaker(folderPut(other), {
    archive: `file:${rewritten}`,
    startMs: Date.now() - 3 * HOUR_MS,
    key: rewriter.key,
  });
  await second.seal();
  const [first] = rewriter.digests;
  const [changed] = second.digests;
  if (first === undefined || changed === undefined) throw new Error('there are no digests');
  // Soundly signed, of the same stream, in the place of the one that digest 2 follows.
  const bytes = Buffer.from(changed.bytes.toString().replace(second.stream, rewriter.stream));
  rmSync(join(rewritten, first.signatureKey));
  put(first.key, bytes);
  put(`${dirname(first.key)}/${sha256(bytes)}.sig`, signatureBy(rewriter.key, bytes));
  const findings = findingsOf(await verifyFolder(rewritten));
  expect(findings).toContain(`FORKED ${digestKeyOf(2)}`);
});
