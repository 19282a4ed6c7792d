import { expect, test } from 'vitest';
import { folderPut, LedgerMaker } from '../../../support/oracles/ledger-maker.ts';
import { temporaryFolder } from '../../../support/processes/processes.ts';
import { findingsOf, verifyFolder } from '../../../support/harness/verify-under-test.ts';

/** What whoever has the key may seal: every signature holds, and what is sealed contradicts itself. */

const HOUR_MS = 3_600_000;

async function foundAfter(play: (maker: LedgerMaker) => Promise<string>): Promise<void> {
  const folder = temporaryFolder();
  const startMs = Date.now() - 4 * HOUR_MS;
  const maker = new LedgerMaker(folderPut(folder), { archive: `file:${folder}`, startMs, sealsKeys: true });
  await maker.addKey();
  await maker.addJob();
  await maker.seal();
  const expected = await play(maker);
  const now = (): Date => new Date(maker.nowMs);
  expect(findingsOf(await verifyFolder(folder, { now }))).toContain(expected);
}

test('a digest of another ledger is a fork', () =>
  foundAfter(async (maker) => {
    await maker.addJob();
    const digest = await maker.seal({ changes: { stream: 'everlog/another' } });
    return `FORKED ${digest.key}`;
  }));

test('a record that names another log than its entry is modified', () =>
  foundAfter(async (maker) => {
    const [other] = maker.jobs;
    const { recordKey } = await maker.addJob(undefined, {}, { key: other?.logKey });
    await maker.seal();
    return `MODIFIED ${recordKey}`;
  }));

test('a run that calls a job archived of which no record has a log is incomplete', () =>
  foundAfter(async (maker) => {
    const key = await maker.addAbsence('unavailable');
    const [, runId = '', , jobId = ''] = /\/(\d+)\/(\d+)\/(\d+)\.json$/.exec(key) ?? [];
    const run = await maker.addRun(Number(runId), [Number(jobId)]);
    await maker.seal();
    return `INCOMPLETE ${run}`;
  }));
