import { readLog } from '../../log/log-reader.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import type { DemoJob } from './demo-findings.ts';
import type { DemoExcerpt } from './demo-report.ts';
import { failedStepsOf, stepsOf } from '../../log/log-steps.ts';
import { createLogView } from '../../log/log-view.ts';

const LINES_SHOWN = 8;
/** Kept of the failed step while it is read; the lines shown are far shorter. */
const KEPT_BYTES = 64 * 1024;
/** Date, fraction of the second and zone of GitHub's stamp: the time of day is enough to look at. */
const STAMP = /^\d{4}-\d{2}-\d{2}T(\d{2}:\d{2}:\d{2})\.\d{7}Z /;

/**
 * The last lines of the first failed job, read from the archive and made harmless as `cat --failed` does; null when no job
 * failed whose log is as expected.
 * @throws EverlogError where the log cannot be read, or is not what its record says.
 */
export async function excerptOf(
  store: ObjectStore,
  jobs: readonly DemoJob[],
  color: boolean,
): Promise<DemoExcerpt | null> {
  const job = jobs.find(
    ({ record, problems }) =>
      record !== null && record.log !== null && problems.length === 0 && failedStepsOf(record).length > 0,
  );
  const record = job?.record ?? null;
  if (job === undefined || record === null || record.log === null) return null;
  const view = createLogView({
    format: 'text',
    color,
    steps: stepsOf(record),
    onlySteps: new Set(failedStepsOf(record).map(({ number }) => number)),
    onlyLines: null,
  });
  let tail = Buffer.alloc(0);
  const keep = (bytes: Buffer): void => {
    tail = Buffer.concat([tail, bytes]).subarray(-KEPT_BYTES);
  };
  for await (const chunk of readLog(store, record.log)) keep(view.push(chunk));
  keep(view.end());
  const lines = tail.toString('utf8').trimEnd().split('\n').slice(-LINES_SHOWN);
  return { job, lines: lines.map((line) => line.trimEnd().replace(STAMP, '$1 ')) };
}
