import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { VerifiedPart } from '../../src/ledger/verify/selection.ts';
import { findingsOf, verifyFolder } from '../support/harness/verify-under-test.ts';
import { folderPut, LedgerMaker, type MadeJob } from '../support/oracles/ledger-maker.ts';
import { spawnEverlog, temporaryFolder } from '../support/processes/processes.ts';

/** `everlog verify` of one job, run or repository: what is wrong with that is found, and nothing is said of the rest. */

const HOUR_MS = 3_600_000;
const HOST = 'github.com';

interface Scene {
  readonly folder: string;
  readonly jobs: readonly MadeJob[];
  readonly runId: number;
}

/** Two jobs of one run, and a job of another; in two digests. */
async function makeScene(): Promise<Scene> {
  const folder = temporaryFolder();
  const put = folderPut(folder);
  const maker = new LedgerMaker(put, { archive: `file:${folder}`, startMs: Date.now() - 2 * HOUR_MS });
  await maker.addKey();
  const first = await maker.addJob();
  const second = await maker.addJob(undefined, { run_id: first.runId });
  await maker.addRun(first.runId, [first.jobId, second.jobId]);
  await maker.seal();
  const third = await maker.addJob();
  await maker.seal();
  return { folder, jobs: [first, second, third], runId: first.runId };
}

let scene: Scene;
beforeAll(async () => {
  scene = await makeScene();
});

function jobAt(jobs: readonly MadeJob[], index: number): MadeJob {
  const job = jobs[index];
  if (job === undefined) throw new Error(`there is no job ${index}`);
  return job;
}

function ofJob(job: MadeJob): VerifiedPart {
  return { kind: 'job', host: HOST, jobId: job.jobId };
}

describe('of a sound archive', () => {
  test.each([
    ['a job', (it: Scene) => ofJob(jobAt(it.jobs, 0)), 1],
    ['a job of whatever host', (it: Scene) => ({ ...ofJob(jobAt(it.jobs, 0)), host: null }), 1],
    ['a run', (it: Scene) => ({ kind: 'run', host: HOST, runId: it.runId }) as const, 3],
    [
      'a repository',
      () => ({ kind: 'repository', host: null, owner: 'Octo-Org', repo: 'octo-REPO' }) as const,
      4,
    ],
  ])('%s is looked at alone, and the ledger as a whole', async (_, selectionOf, entries) => {
    const { summary } = await verifyFolder(scene.folder, { selection: selectionOf(scene) });
    expect(summary).toMatchObject({ result: 'VALID', entries, digests: 2 });
  });

  test.each([
    ['a job', { kind: 'job', host: null, jobId: 5 } as const, 'nothing of job 5 was sealed'],
    [
      'a job of another host',
      { kind: 'job', host: 'ghe.example', jobId: 1_001 } as const,
      'nothing of job 1001 of ghe.example was sealed',
    ],
    ['a run', { kind: 'run', host: null, runId: 1_001 } as const, 'nothing of run 1001 was sealed'],
    [
      'a repository',
      { kind: 'repository', host: null, owner: 'octo-org', repo: 'octo' } as const,
      'nothing of octo-org/octo was sealed',
    ],
  ])('%s that the ledger does not know is not valid', async (_, selection, said) => {
    await expect(verifyFolder(scene.folder, { selection })).rejects.toThrow(said);
  });

  test('the command says what it was about, and what it left out', async () => {
    const { jobId } = jobAt(scene.jobs, 0);
    const child = spawnEverlog(['verify', '--archive', scene.folder, '--job', String(jobId)], {});
    const { code } = await child.exited;
    expect(code).toBe(0);
    expect(child.stdout()).toMatch(
      new RegExp(`^VALID: job ${jobId}: 1 entry of 2 digests, 2 objects looked at`, 'm'),
    );
    expect(child.stdout()).toMatch(
      new RegExp(`^NOT_CHECKED +v1/: objects that are not of job ${jobId}$`, 'm'),
    );
  });
});

describe('of an archive that was tampered with', () => {
  test('a job is sound although another is damaged, and the damaged one is not', async () => {
    const { folder, jobs } = await makeScene();
    const [sound, damaged] = [jobAt(jobs, 0), jobAt(jobs, 1)];
    writeFileSync(join(folder, damaged.logKey), 'another log');
    expect(findingsOf(await verifyFolder(folder, { selection: ofJob(sound) }))).toEqual([]);
    expect(findingsOf(await verifyFolder(folder, { selection: ofJob(damaged) }))).toEqual([
      `MODIFIED ${damaged.logKey}`,
    ]);
    expect(findingsOf(await verifyFolder(folder, { selection: ofRun(damaged) }))).toEqual([
      `MODIFIED ${damaged.logKey}`,
    ]);
  });

  test('what was removed or planted of a job is found', async () => {
    const { folder, jobs } = await makeScene();
    const [removed, doubled] = [jobAt(jobs, 0), jobAt(jobs, 2)];
    rmSync(join(folder, removed.recordKey));
    const planted = doubled.recordKey
      .replace('.json', '.r2.json')
      .replace('repo=octo-repo', 'repo=elsewhere');
    folderPut(folder)(planted, Buffer.from('{}'));
    expect(findingsOf(await verifyFolder(folder, { selection: ofJob(removed) }))).toEqual([
      `MISSING ${removed.recordKey}`,
    ]);
    expect(findingsOf(await verifyFolder(folder, { selection: ofJob(doubled) }))).toEqual([
      `UNSEALED ${planted}`,
    ]);
  });

  test('a damaged digest is a finding whatever is looked at', async () => {
    const { folder, jobs } = await makeScene();
    writeFileSync(join(folder, 'ledger/digests/0000000002/digest.json'), '{}');
    const found = findingsOf(await verifyFolder(folder, { selection: ofJob(jobAt(jobs, 0)) }));
    expect(found.join('\n')).toContain('MODIFIED ledger/digests/0000000002/digest.json');
  });
});

function ofRun({ runId }: MadeJob): VerifiedPart {
  return { kind: 'run', host: null, runId };
}
