import type { ChosenRecord } from '../choose-jobs.ts';

/** How a row of the index stands. Anything but the first three is to be looked into, and makes the export end with findings. */
export const STATUSES = {
  sealed: 'in the bundle, as it was sealed',
  erased: 'its record is here, or a custody object that says who removed it, when and why',
  expired: 'removed by a rule of retention; a custody object says so',
  not_sealed: 'recorded, and in no digest yet; not in the bundle',
  unproven: 'the ledger’s entries that should hold it are damaged; not in the bundle',
  not_believed:
    'in the bundle, but the digest that covers it vouches for nothing: signed by a revoked or unknown key, or damaged',
  differs: 'in the bundle as it stands in the archive, which is not what was sealed',
  missing: 'sealed, and gone from the archive without a custody object that says why',
  no_job: 'asked for, and no job of it is recorded',
  problem: 'something of the archive or its ledger is bad or gone, so that more may be than is told here',
} as const;

export type Status = keyof typeof STATUSES;

/** Statuses that are as they should be. */
const SOUND: ReadonlySet<Status> = new Set(['sealed', 'erased', 'expired']);

/** A line of the index: a revision of a job's record, a commit that has no job, or what is wrong with the archive itself. */
export interface IndexRow {
  readonly status: Status;
  readonly askedFor: string | null;
  readonly record: ChosenRecord | null;
  /** Of the digest that has its entry. */
  readonly sequence: number | null;
  /** The custody object that says who removed something of it. */
  readonly custody: string | null;
  /** What is wrong with which object; null for rows of jobs. */
  readonly problem: { readonly key: string; readonly what: string } | null;
}

/** Whether a row keeps the export from being what was asked for. */
export function isUnsound({ status }: IndexRow): boolean {
  return !SOUND.has(status);
}

/** How many rows have each status. */
export function countsByStatus(rows: readonly IndexRow[]): ReadonlyMap<Status, number> {
  const counts = new Map<Status, number>();
  for (const { status } of rows) counts.set(status, (counts.get(status) ?? 0) + 1);
  return counts;
}

/** The columns of an index, by name; all text as it is in the record, still to be made harmless. */
export function columnsOf(row: IndexRow): readonly (readonly [string, string])[] {
  const facts = row.record?.facts;
  const text = (value: string | number | null | undefined): string => (value ?? '').toString();
  const isHere = row.sequence !== null && row.status !== 'missing';
  return [
    ['status', row.status],
    ['asked_for', text(row.askedFor)],
    ['host', text(facts?.host)],
    ['owner', text(facts?.owner)],
    ['repo', text(facts?.repo)],
    ['run_id', text(facts?.run_id)],
    ['run_attempt', text(facts?.run_attempt)],
    ['job_id', text(facts?.job_id)],
    ['revision', text(row.record?.revision)],
    ['workflow', text(facts?.workflow_name)],
    ['job', text(facts?.job_name)],
    ['branch', text(facts?.head_branch)],
    ['commit', text(facts?.head_sha)],
    ['conclusion', text(facts?.conclusion)],
    ['outcome', text(facts?.outcome)],
    ['started_at', text(facts?.started_at)],
    ['completed_at', text(facts?.completed_at)],
    ['recorded_at', text(facts?.recorded_at)],
    ['log_bytes', text(facts?.log?.bytes)],
    ['log_sha256', text(facts?.log?.sha256)],
    ['digest', text(row.sequence)],
    ['record', isHere ? text(row.record?.key) : ''],
    ['log', isHere && row.status !== 'erased' && row.status !== 'expired' ? text(facts?.log?.key) : ''],
    ['custody', text(row.custody)],
    ['problem', row.problem === null ? '' : `${row.problem.key}: ${row.problem.what}`],
  ];
}
