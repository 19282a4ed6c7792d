import { recordsPrefix } from '../archive/keys.ts';
import type { RecordFilters } from '../archive/find/record-filters.ts';
import type { ScanPlace } from '../archive/find/scan-records.ts';
import type { JobIndex } from './job-index.ts';

/**
 * The run attempts in which jobs of commits stand, each commit by its hash or how it begins, as far as filters leave them: for
 * whoever reads their records without looking through all others.
 * @throws EverlogError where a store does not answer
 */
export async function placesOfCommits(
  index: JobIndex,
  shas: readonly string[],
  filters: RecordFilters,
): Promise<readonly ScanPlace[]> {
  const places = new Map<string, ScanPlace>();
  for await (const { host, repository, run_id: runId, run_attempt } of index.byCommits(shas, filters)) {
    const [owner = '', repo = ''] = repository.split('/');
    const prefix = `${recordsPrefix({ host, owner, repo, runId })}${run_attempt}/`;
    places.set(prefix, { prefix, host, owner, repo, holds: () => true });
  }
  return [...places.values()];
}
