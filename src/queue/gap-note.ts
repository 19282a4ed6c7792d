import { z } from 'zod';
import type { GapLine } from '../ledger/formats/formats.ts';
import type { KeyValueNotes } from './key-value-notes.ts';

/**
 * Jobs that are known to be missing, by the queue's id of whatever will bring them in: what reconcile named, and what somebody
 * dropped. A note goes when that work ends well; until then each digest tells of the gap.
 */
export type NotedGap = Omit<GapLine, 'since'> & { readonly since: string };

const TABLE = 'gaps';
/** What a person wrote, or a failure said. */
const REASON_CHARS_MAX = 500;

const name = z.string().nullable();
const id = z.int().nullable();
const gapSchema = z.object({
  host: z.string(),
  owner: name,
  repo: name,
  repository_id: id,
  run_id: id,
  run_attempt: id,
  job_id: id,
  jobs: z.int().min(0),
  reason: z.string(),
  since: z.string(),
});

/** Notes a gap, in place of what was noted of it before. */
export async function noteGap(
  notes: Pick<KeyValueNotes, 'setField'>,
  queueId: string,
  gap: NotedGap,
): Promise<void> {
  const { host, owner, repo, repository_id, run_id, run_attempt, job_id, jobs, since } = gap;
  const reason = shortReason(gap.reason);
  const text = { host, owner, repo, repository_id, run_id, run_attempt, job_id, jobs, reason, since };
  await notes.setField(TABLE, queueId, JSON.stringify(text));
}

/** Takes back what was noted of the work with this id: it has ended well. */
export async function closeGap(notes: Pick<KeyValueNotes, 'setField'>, queueId: string): Promise<void> {
  await notes.setField(TABLE, queueId, null);
}

/** All gaps noted, by the queue's id. */
export async function readGaps(notes: Pick<KeyValueNotes, 'fields'>): Promise<Map<string, NotedGap>> {
  const gaps = new Map<string, NotedGap>();
  for (const [queueId, text] of Object.entries(await notes.fields(TABLE)))
    gaps.set(queueId, gapSchema.parse(JSON.parse(text)));
  return gaps;
}

/** A reason as it may stand in a digest's gaps: one line of bounded length. */
export function shortReason(reason: string): string {
  return reason.replaceAll(/\s+/g, ' ').trim().slice(0, REASON_CHARS_MAX);
}

const workSchema = z.object({
  host: z.string(),
  owner: name.optional(),
  repo: name.optional(),
  repository_id: id.optional(),
  run_id: id.optional(),
  run_attempt: id.optional(),
  job_id: id.optional(),
});

/** The gap that a job of the queue leaves when it is not done; null for work that brings no log in. */
export function gapOfWork(work: {
  readonly name: string;
  readonly data: unknown;
}): Omit<NotedGap, 'reason' | 'since'> | null {
  const brings = ['archive-job', 'sweep-run', 'reconcile-repository'].includes(work.name);
  const parsed = brings ? workSchema.safeParse(work.data) : null;
  if (parsed?.success !== true) return null;
  const { host, owner, repo, repository_id, run_id, run_attempt, job_id } = parsed.data;
  return {
    host,
    owner: owner ?? null,
    repo: repo ?? null,
    repository_id: repository_id ?? null,
    run_id: run_id ?? null,
    run_attempt: run_attempt ?? null,
    job_id: job_id ?? null,
    // How many jobs a run or a repository has that could not be listed, nobody knows.
    jobs: job_id === null || job_id === undefined ? 0 : 1,
  };
}
