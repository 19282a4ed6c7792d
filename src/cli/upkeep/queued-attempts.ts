import { setTimeout as sleep } from 'node:timers/promises';
import type { OpenAttempt, Reconciler } from '../../service/reconciling.ts';
import type { QueueControl } from '../../control/requests.ts';
import { archiveJobId } from '../../queue/catalog.ts';
import type { QueuedState } from '../../queue/queued-state.ts';

/** A completed job without a record, and why. */
export interface Gap {
  readonly host: string;
  readonly owner: string;
  readonly repo: string;
  readonly run_id: number | null;
  readonly run_attempt: number | null;
  readonly job_id: number | null;
  readonly reason: string;
  /** When the job ended. */
  readonly since: string | null;
  /** When it is looked at again, where that is known. */
  readonly next_at: string | null;
}

/** What became of an attempt whose jobs have ended or been put off. */
export interface Settled {
  readonly archived: number;
  readonly absent: readonly { readonly outcome: string }[];
  /** Absences that stood and that another look overturned: what they were, and what they are. */
  readonly overturned: readonly { readonly from: string; readonly to: string }[];
  readonly gaps: readonly Gap[];
}

/** How often waiting looks at the queue. */
const LOOK_MS = 200;
/** Jobs looked at in one go. */
const LOOKED_AT_ONCE_MAX = 500;
/** A job put off no further than this is waited for: that is its turn in the rate limit, not a wait for a log. */
const SOON_MS = 5_000;

interface Waiting {
  readonly open: OpenAttempt;
  readonly moving: Set<number>;
  readonly states: Map<number, QueuedState>;
}

/**
 * Jobs that a command has queued and that have not ended: at most `roomMax`, so that the past can never fill the queue and
 * what is held in memory stays bounded. Each attempt is settled when its jobs have ended or been put off.
 */
export class QueuedAttempts {
  private readonly control: Pick<QueueControl, 'stateOf'>;
  private readonly settle: Reconciler['settle'];
  private readonly roomMax: number;
  private readonly onSettled: (settled: Settled) => void;
  private waiting: Waiting[] = [];
  private looking: Promise<void> | null = null;

  constructor(
    control: Pick<QueueControl, 'stateOf'>,
    settle: Reconciler['settle'],
    roomMax: number,
    onSettled: (settled: Settled) => void,
  ) {
    this.control = control;
    this.settle = settle;
    this.roomMax = roomMax;
    this.onSettled = onSettled;
  }

  /** Takes an attempt in, and waits until there is room for another. */
  async add(open: OpenAttempt): Promise<void> {
    this.waiting.push({ open, moving: new Set(open.queued), states: new Map() });
    while (this.moving() >= this.roomMax) await this.look();
  }

  /** Waits until every job has ended or been put off. */
  async drain(): Promise<void> {
    while (this.waiting.length > 0) await this.look();
  }

  /** Stops watching: the gaps as they are now. */
  leave(): void {
    for (const { open } of this.waiting) {
      const gaps = open.missing.map((jobId) => attemptGap(open, jobId, 'queued now', null));
      this.onSettled({ archived: 0, absent: [], overturned: [], gaps });
    }
    this.waiting = [];
  }

  private moving(): number {
    return this.waiting.reduce((sum, { moving }) => sum + moving.size, 0);
  }

  /** One look, shared by all who wait. */
  private look(): Promise<void> {
    this.looking ??= this.lookOnce().finally(() => {
      this.looking = null;
    });
    return this.looking;
  }

  private async lookOnce(): Promise<void> {
    let looked = 0;
    let ended = 0;
    for (const one of this.waiting.slice()) {
      for (const jobId of one.moving) {
        if (looked === LOOKED_AT_ONCE_MAX) break;
        looked += 1;
        const state = await this.control.stateOf(archiveJobId(one.open.attempt.host, jobId));
        if (isMovingSoon(state)) continue;
        one.moving.delete(jobId);
        one.states.set(jobId, state);
        ended += 1;
      }
      if (one.moving.size > 0) continue;
      await this.settleOne(one);
      this.waiting = this.waiting.filter((other) => other !== one);
    }
    if (ended === 0) await sleep(LOOK_MS);
  }

  private async settleOne({ open, states }: Waiting): Promise<void> {
    const account = await this.settle(open);
    const wasMissing = new Set(open.missing);
    const now = new Map(account.absent.map(({ job_id, outcome }) => [job_id, outcome]));
    for (const jobId of account.archived) now.set(jobId, 'archived');
    this.onSettled({
      archived: account.archived.filter((jobId) => wasMissing.has(jobId)).length,
      absent: account.absent.filter(({ job_id }) => wasMissing.has(job_id)),
      overturned: open.stood.flatMap(({ job_id, outcome: from }) => {
        const to = now.get(job_id) ?? from;
        return to === from ? [] : [{ from, to }];
      }),
      gaps: account.missing.map((jobId) => {
        const state = states.get(jobId);
        return attemptGap(open, jobId, reasonOf(state), state?.nextAt ?? null);
      }),
    });
  }
}

/** A job of an attempt that has no record. */
export function attemptGap(open: OpenAttempt, jobId: number, reason: string, nextAt: Date | null): Gap {
  const { host, owner, repo, runId, runAttempt } = open.attempt;
  const job = open.listed.find((listed) => listed.job.id === jobId)?.job;
  return {
    host,
    owner,
    repo,
    run_id: runId,
    run_attempt: runAttempt,
    job_id: jobId,
    reason,
    since: job?.completed_at ?? null,
    next_at: nextAt?.toISOString() ?? null,
  };
}

function reasonOf(state: QueuedState | undefined): string {
  if (state?.state === 'failed') return `failed: ${state.reason ?? 'no reason noted'}`;
  if (state?.state === 'put_off') return `put off: ${state.reason ?? 'no reason noted'}`;
  return 'its job ended and left no record';
}

function isMovingSoon({ state, nextAt, reason }: QueuedState): boolean {
  if (state === 'waiting' || state === 'running') return true;
  if (state !== 'put_off') return false;
  // Without a moment and a reason, its moment has just come.
  return nextAt === null ? reason === null : nextAt.getTime() - Date.now() < SOON_MS;
}
