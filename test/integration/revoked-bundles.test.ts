import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openFolderStore } from '../../src/store/folder/folder-object-store.ts';
import {
  exportTo,
  makeToolFolder,
  runVerify,
  runVerifyScript,
} from '../support/harness/bundle-under-test.ts';
import { makeRecord } from '../support/oracles/archived-jobs.ts';
import { folderPut, LedgerMaker, makeKey, type MadeKey } from '../support/oracles/ledger-maker.ts';
import { removeTemporaryFolder, temporaryFolder } from '../support/processes/processes.ts';

const HOUR_MS = 3_600_000;

let folder: string;
let tools: string;

beforeAll(async () => {
  folder = temporaryFolder('everlog-revoked-');
  tools = await makeToolFolder(join(folder, 'tools'));
});

afterAll(() => removeTemporaryFolder(folder));

/** What happens to the first key of a ledger, and whether all of its digests are to be believed in the end. */
type Play = readonly [
  name: string,
  isSound: boolean,
  play: (maker: LedgerMaker, first: MadeKey) => Promise<void>,
];

const PLAYS: readonly Play[] = [
  [
    'revoked by its successor',
    true,
    async (maker, first) => {
      await rotateAndSeal(maker);
      await maker.revoke(first, maker.nowMs - HOUR_MS / 2);
      await sealJob(maker);
    },
  ],
  [
    'revoked as of a moment before its successor was made',
    true,
    async (maker, first) => {
      maker.nowMs += HOUR_MS;
      await maker.addKey(makeKey());
      await maker.revoke(first, maker.nowMs - HOUR_MS / 2);
      maker.nowMs -= HOUR_MS;
      await sealJob(maker);
    },
  ],
  [
    'revoked by itself',
    true,
    async (maker, first) => {
      await rotateAndSeal(maker);
      await maker.revoke(first, maker.nowMs, first);
      await sealJob(maker);
    },
  ],
  [
    'revoked, and its thief dates a successor back',
    false,
    async (maker, first) => {
      await rotateAndSeal(maker);
      await maker.revoke(first, maker.nowMs - HOUR_MS / 2);
      await sealJob(maker);
      await sealJob(maker, await sibling(maker, first, 2 * HOUR_MS));
    },
  ],
  [
    'revoked by itself, and its thief dates a successor back',
    false,
    async (maker, first) => {
      await rotateAndSeal(maker);
      await maker.revoke(first, maker.nowMs, first);
      await sealJob(maker);
      await sealJob(maker, await sibling(maker, first, 2 * HOUR_MS));
    },
  ],
];

async function sealJob(maker: LedgerMaker, key?: MadeKey): Promise<void> {
  const id = 1_000 + maker.jobs.length;
  const { log: _log, ...record } = makeRecord({ job_id: id, run_id: id * 10, host: 'github.com' });
  await maker.addJob(undefined, record);
  await maker.seal(key === undefined ? {} : { key });
}

async function rotateAndSeal(maker: LedgerMaker): Promise<void> {
  await maker.addKey(makeKey());
  await sealJob(maker);
}

/** Another successor of a key that says that it began `agoMs` ago; the last key stays the last. */
async function sibling(maker: LedgerMaker, previous: MadeKey, agoMs: number): Promise<MadeKey> {
  const own = [...maker.keys];
  const { nowMs } = maker;
  maker.nowMs -= agoMs;
  const key = await maker.addKey(makeKey(), previous);
  maker.nowMs = nowMs;
  maker.keys.splice(0, maker.keys.length, ...own);
  return key;
}

async function bundleOf(
  name: string,
  sealsKeys: boolean,
  play: Play[2],
): Promise<{ bundle: string; pin: string; last: string }> {
  const archive = join(folder, `archive-${name}`);
  const startMs = Date.now() - 9 * HOUR_MS;
  const maker = new LedgerMaker(folderPut(archive), { archive: `file:${archive}`, startMs, sealsKeys });
  const first = await maker.addKey();
  await sealJob(maker);
  await play(maker, first);
  const bundle = join(folder, `bundle-${name}`);
  await exportTo(await openFolderStore({ folder: archive }), bundle, { madeAt: new Date() });
  return { bundle, pin: first.id, last: maker.key.id };
}

test.each(PLAYS.flatMap((play) => [[true, ...play] as const, [false, ...play] as const]))(
  'verify and verify.sh agree on a bundle (keys sealed: %s) whose first key was %s',
  async (sealsKeys, name, isSound, play) => {
    const made = await bundleOf(`${name.replaceAll(/\W/g, '-')}-${sealsKeys}`, sealsKeys, play);
    // Whoever trusts a revoked key can believe nothing, however sound the rest is.
    for (const pinned of [null, made.last, made.pin]) {
      const isRevoked = pinned === made.pin;
      const [ours, script] = [
        await runVerify(made.bundle, folder, pinned),
        await runVerifyScript(made.bundle, tools, pinned),
      ];
      const code = isSound && !isRevoked ? 0 : 4;
      expect([ours.code, script.code], `${ours.output}\n${script.output}`).toEqual([code, code]);
      for (const { output } of [ours, script]) {
        expect(output.includes('UNKNOWN_KEY')).toBe(!isSound);
        expect(output.includes(`REVOKED_KEY ledger/keys/${made.pin}.json`)).toBe(isRevoked);
      }
    }
  },
);

test('a successor that was sealed before stays believed by both', async () => {
  const { bundle, last: pin } = await bundleOf('sealed-before', true, async (maker, first) => {
    const other = await sibling(maker, first, 0);
    await sealJob(maker);
    await rotateAndSeal(maker);
    await maker.revoke(first, maker.nowMs - HOUR_MS / 2);
    await sealJob(maker, other);
  });
  const verdicts = [await runVerify(bundle, folder, pin), await runVerifyScript(bundle, tools, pin)];
  expect(verdicts).toMatchObject([{ code: 0 }, { code: 0 }]);
});

test('an archive whose digest is by a revoked key is not exported as sealed', async () => {
  const archive = join(folder, 'archive-revoked');
  const options = { archive: `file:${archive}`, startMs: Date.now() - 6 * HOUR_MS, sealsKeys: true };
  const maker = new LedgerMaker(folderPut(archive), options);
  const first = await maker.addKey();
  await sealJob(maker);
  await rotateAndSeal(maker);
  await maker.revoke(first, maker.nowMs - HOUR_MS / 2);
  await sealJob(maker, first);
  const store = await openFolderStore({ folder: archive });
  const { report, problems } = await exportTo(store, join(folder, 'bundle-revoked'), { madeAt: new Date() });
  expect(report.rows.map(({ status, sequence }) => [status, sequence])).toEqual([
    ['sealed', 1],
    ['sealed', 2],
    ['not_believed', 3],
  ]);
  expect(problems).toEqual([
    expect.stringMatching(/^ledger\/digests\/0000000003\/digest\.json: REVOKED_KEY/),
  ]);
  expect((await runVerifyScript(join(folder, 'bundle-revoked'), tools, first.id)).code).toBe(4);
});

test.each([
  ['is damaged, and its entries are gone', 'MODIFIED'],
  ['was made by somebody else', 'UNKNOWN_KEY'],
  ['is gone', 'GAP'],
] as const)('a digest that covers nothing of a bundle and %s is told of everywhere', async (how, word) => {
  const name = how.replaceAll(/\W+/g, '-');
  const archive = join(folder, `archive-${name}`);
  const options = { archive: `file:${archive}`, startMs: Date.now() - 4 * HOUR_MS, sealsKeys: true };
  const maker = new LedgerMaker(folderPut(archive), options);
  const { id: pin } = await maker.addKey();
  await sealJob(maker);
  await sealJob(maker, word === 'UNKNOWN_KEY' ? makeKey() : maker.key);
  await sealJob(maker);
  const [kept, gone] = maker.jobs;
  if (kept === undefined || gone === undefined) throw new Error('three jobs');
  for (const key of [gone.recordKey, gone.logKey]) rmSync(join(archive, key));
  const bad = join(archive, 'ledger/digests/0000000002');
  for (const file of readdirSync(bad))
    if (word !== 'UNKNOWN_KEY' && file.endsWith('.gz')) rmSync(join(bad, file));
  const digest = join(bad, 'digest.json');
  if (word === 'GAP') rmSync(digest);
  else if (word === 'MODIFIED')
    writeFileSync(digest, readFileSync(digest, 'utf8').replace('"durable"', '"durably"'));
  const store = await openFolderStore({ folder: archive });
  const bundle = join(folder, `bundle-${name}`);
  const { problems } = await exportTo(store, bundle, { filters: { jobId: kept.jobId }, madeAt: new Date() });
  expect(problems).toContainEqual(
    expect.stringMatching(new RegExp(`^ledger/digests/0000000002/.*: ${word}: `)),
  );
  expect(readFileSync(join(bundle, 'index.csv'), 'utf8')).toMatch(
    new RegExp(`"problem".*0000000002/.*${word}`),
  );
  expect(readFileSync(join(bundle, 'index.html'), 'utf8')).toContain(`${word}: `);
  // A bundle leaves out digests for good reasons; what stands in it speaks for itself.
  const code = word === 'GAP' ? 0 : 4;
  const verdicts = [await runVerify(bundle, folder, pin), await runVerifyScript(bundle, tools, pin)];
  expect(verdicts.map((verdict) => verdict.code)).toEqual([code, code]);
});

test('a job whose record and log are gone has a row, and keeps the bundle from being sound', async () => {
  const archive = join(folder, 'archive-gone');
  const options = { archive: `file:${archive}`, startMs: Date.now() - 3 * HOUR_MS, sealsKeys: true };
  const maker = new LedgerMaker(folderPut(archive), options);
  const pin = (await maker.addKey()).id;
  await sealJob(maker);
  await sealJob(maker);
  const [gone, kept] = maker.jobs;
  if (gone === undefined || kept === undefined) throw new Error('two jobs');
  for (const key of [gone.recordKey, gone.logKey]) rmSync(join(archive, key));
  const store = await openFolderStore({ folder: archive });
  const bundle = join(folder, 'bundle-gone');
  const { report } = await exportTo(store, bundle);
  expect(report.rows.map(({ status, record }) => [status, record?.key])).toEqual([
    ['sealed', kept.recordKey],
    ['missing', gone.recordKey],
  ]);
  expect(readFileSync(join(bundle, 'index.csv'), 'utf8')).toMatch(/"missing".*"1000"/);
  expect(readFileSync(join(bundle, 'index.html'), 'utf8')).toContain('missing');
  for (const verdict of [await runVerify(bundle, folder, pin), await runVerifyScript(bundle, tools, pin)]) {
    expect(verdict).toMatchObject({ code: 4, output: expect.stringContaining(`MISSING ${gone.recordKey}`) });
  }
  const other = { filters: { jobId: kept.jobId } };
  expect((await exportTo(store, join(folder, 'bundle-kept'), other)).report.rows).toHaveLength(1);
  const only = { filters: { jobId: gone.jobId } };
  expect((await exportTo(store, join(folder, 'bundle-only'), only)).report.rows).toHaveLength(1);
});
