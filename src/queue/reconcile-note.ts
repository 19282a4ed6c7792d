import { z } from 'zod';
import type { Notes } from './notes.ts';

/** What reconcile last found, for whoever asks whether anything is missing: kept small, a number per repository with gaps. */

/** What is known of all hosts together. */
export interface Reconciled {
  /** When a host's repositories were last gone through, by host. */
  readonly lastAt: ReadonlyMap<string, Date>;
  /** Completed jobs without a record when their repository was last looked into. They were queued then. */
  readonly gapJobs: number;
}

const AT_TABLE = 'reconciled';
const GAPS_TABLE = 'reconcile-gaps';
/** Every repository is looked into daily: a gap that nobody confirms for longer is of a repository that is gone. */
const GAP_BELIEVED_MS = 3 * 24 * 60 * 60_000;

const gapSchema = z.object({ jobs: z.int().positive(), at: z.iso.datetime() });

/** Notes that a host's repositories were gone through. */
export async function noteReconciled(notes: Notes, host: string, now: Date): Promise<void> {
  await notes.setField(AT_TABLE, host, now.toISOString());
}

/** Notes how many jobs of a repository had no record. */
export async function noteGaps(
  notes: Notes,
  host: string,
  repositoryId: number,
  jobs: number,
  now: Date,
): Promise<void> {
  const text = jobs === 0 ? null : JSON.stringify({ jobs, at: now.toISOString() });
  await notes.setField(GAPS_TABLE, `${host}/${repositoryId}`, text);
}

/** Reads what was noted. */
export async function readReconciled(notes: Notes, now: Date): Promise<Reconciled> {
  const [times, gaps] = await Promise.all([notes.fields(AT_TABLE), notes.fields(GAPS_TABLE)]);
  const lastAt = new Map(Object.entries(times).map(([host, at]) => [host, new Date(at)]));
  let gapJobs = 0;
  for (const [field, text] of Object.entries(gaps)) {
    const gap = gapSchema.parse(JSON.parse(text));
    if (now.getTime() - Date.parse(gap.at) <= GAP_BELIEVED_MS) gapJobs += gap.jobs;
    else await notes.setField(GAPS_TABLE, field, null);
  }
  return { lastAt, gapJobs };
}
