import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { StoredRecord } from '../../archive/find/find-records.ts';
import { giveUp } from '../../errors.ts';
import { BundleFolder } from '../../ledger/export/bundle/bundle-folder.ts';
import { exportBundle } from '../../ledger/export/export-bundle.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import type { ProofBundle } from '../../web/site.ts';
import { readVersion } from '../version.ts';
import { tarOf } from './tar-file.ts';

/**
 * Makes the bundle that proves one job, as `everlog export` does, in a folder that `close` removes.
 * @throws EverlogError `object_corrupt` where a part of it cannot be read: half a proof is none.
 */
export async function makeProofBundle(
  store: ObjectStore,
  scratchFolder: string,
  { record }: StoredRecord,
  now: Date,
  webUrl: string | null,
): Promise<ProofBundle> {
  const { host, owner, repo, run_id, job_id } = record;
  const scratch = await mkdtemp(join(scratchFolder, 'everlog-proof-'));
  try {
    const folder = await BundleFolder.begin(join(scratch, 'bundle'), 'proof');
    const problems: string[] = [];
    const request = {
      filters: { host, repo: { owner, repo }, runId: run_id, jobId: job_id },
      commits: null,
      scope: { host, repo: `${owner}/${repo}`, run: String(run_id), job_id: String(job_id) },
      madeAt: now,
      version: readVersion(),
      webUrl,
    };
    const report = await exportBundle(store, folder, request, {
      onProblem: (key, problem) => problems.push(`${key}: ${problem}`),
      onProgress: () => undefined,
    });
    const [problem] = problems;
    if (problem !== undefined || report === null)
      throw giveUp('object_corrupt', `no whole bundle can be made: ${problem ?? 'the job is gone'}`);
    await folder.finish();
    const name = `everlog-proof-${job_id}`;
    const close = (): Promise<void> => rm(scratch, { recursive: true, force: true });
    return { fileName: `${name}.tar`, body: tarOf(folder.out, name, now), close };
  } catch (error) {
    await rm(scratch, { recursive: true, force: true });
    throw error;
  }
}
