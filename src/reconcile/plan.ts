import { momentOf, type JobRecord } from '../archive/record.ts';
import type { CreatedWindow, ListedRun } from '../github/runs.ts';

/**
 * When which runs are looked at. Pure.
 *
 * `recent`: each interval, repositories that were active within the lookback, runs created within the lookback. One call for
 * every 100 such runs when nothing is missing.
 *
 * `daily`: every repository, runs created within the last 35 days: a run may be re-run for 30 days and then last five, and
 * keeps its date of creation, so nothing shorter finds every new attempt; a listed run tells its newest attempt, so that
 * finding them costs the listing alone. The part of the retention before those days, where only absences can still change, is
 * gone through a seventh a day. Repositories have their days' turns spread over the intervals, by their id.
 */
export type Pass = 'recent' | 'daily';

const DAY_MS = 24 * 60 * 60_000;
/** Re-runs begin within 30 days of the run; a self-hosted job lasts five at most. */
const RERUN_DAYS = 35;
/** The days before those are gone through once in so many days. */
const OLD_SLICES = 7;
/** An absence is looked at again at most once a day; a little less, so that a daily look is not put off to the next day. */
const LOOK_AGAIN_MS = 20 * 60 * 60_000;

/** The windows of a pass, oldest first. */
export function windowsOf(
  pass: Pass,
  startedAt: Date,
  limits: { readonly lookbackMs: number; readonly retentionMs: number },
): CreatedWindow[] {
  const startMs = startedAt.getTime();
  const back = (ms: number): Date => new Date(startMs - ms);
  if (pass === 'recent') return [{ from: back(limits.lookbackMs), to: startedAt }];
  const recent = rerunWindow(startedAt, limits.lookbackMs);
  const recentMs = startMs - recent.from.getTime();
  const windows = [recent];
  const oldMs = limits.retentionMs - recentMs;
  if (oldMs > 0) {
    const slice = Math.floor(startMs / DAY_MS) % OLD_SLICES;
    // Days move on by one while slices are gone through, so each reaches a day further than its seventh.
    const from = back(limits.retentionMs - (oldMs * slice) / OLD_SLICES);
    const to = new Date(Math.min(from.getTime() + oldMs / OLD_SLICES + DAY_MS, startMs - recentMs));
    windows.unshift({ from, to });
  }
  return windows;
}

/** The window of runs that may still be run again, at least the lookback. */
export function rerunWindow(startedAt: Date, lookbackMs: number): CreatedWindow {
  const backMs = Math.max(RERUN_DAYS * DAY_MS, lookbackMs);
  return { from: new Date(startedAt.getTime() - backMs), to: startedAt };
}

/**
 * Whether a run is looked into by the schedule: it was created or run again within the lookback, or the archive knows it. What is
 * older and unknown was there before Everlog, and is fetched by `backfill`, when somebody wants it.
 */
export function isScheduled(
  run: Pick<ListedRun, 'createdAt' | 'startedAt'>,
  isKnown: boolean,
  startedAt: Date,
  lookbackMs: number,
): boolean {
  const sinceMs = startedAt.getTime() - lookbackMs;
  return isKnown || run.createdAt.getTime() >= sinceMs || run.startedAt.getTime() >= sinceMs;
}

/** A window in parts of this length, oldest first; the last one may be shorter. */
export function slicesOf({ from, to }: CreatedWindow, sliceMs: number): CreatedWindow[] {
  const slices: CreatedWindow[] = [];
  for (let fromMs = from.getTime(); fromMs <= to.getTime(); fromMs += sliceMs) {
    slices.push({ from: new Date(fromMs), to: new Date(Math.min(fromMs + sliceMs - 1_000, to.getTime())) });
  }
  return slices;
}

/** What is left of a window once everything created until `doneUntil` was compared; null when nothing is. */
export function restOf({ from, to }: CreatedWindow, doneUntil: Date | null): CreatedWindow | null {
  if (doneUntil === null || doneUntil < from) return { from, to };
  return doneUntil >= to ? null : { from: doneUntil, to };
}

/**
 * Whether a repository's turn for its daily look lies in the interval of `now`, or in one since the pass that began at `last`:
 * a pass that began late, or not at all, skips nobody.
 */
export function isDailyTurn(
  repositoryId: number,
  now: Date,
  intervalMs: number,
  last: Date | null = null,
): boolean {
  const turns = Math.max(1, Math.round(DAY_MS / intervalMs));
  const slot = Math.floor(now.getTime() / intervalMs);
  const done = last === null ? slot - 1 : Math.floor(last.getTime() / intervalMs);
  const turn = slot - ((slot - (repositoryId % turns)) % turns);
  return turn === slot || turn > done;
}

/** Whether a provisional absence is due: last looked at a day ago, and GitHub may still have the log. */
export function isDueForLook(record: JobRecord, now: Date, retentionMs: number): boolean {
  const lookedMs = Date.parse(record.absence?.last_tried_at ?? record.recorded_at);
  return now.getTime() - lookedMs >= LOOK_AGAIN_MS && isWithinRetention(record, now, retentionMs);
}

/**
 * What was recorded during an incident is looked at again within the hour, at each pass while it is this young; then daily.
 */
const EARLY_MS = 6 * 60 * 60_000;

/** Whether something was written so lately that each pass looks at it again. */
export function isYoung(writtenAt: Date, now: Date): boolean {
  return now.getTime() - writtenAt.getTime() <= EARLY_MS;
}

/** Whether a provisional absence is due for one of its early looks. */
export function isDueEarly(record: JobRecord, now: Date, retentionMs: number): boolean {
  return isYoung(new Date(record.recorded_at), now) && isWithinRetention(record, now, retentionMs);
}

/**
 * GitHub may list a job some time after its run has ended: what was written of a run within this is provisional, and every
 * later comparison lists the run once more.
 */
const SETTLING_MS = 60 * 60_000;

/** Whether what was written of a run came too early to be final. */
export function isTooEarly(writtenAt: Date, runEndedAt: Date): boolean {
  return writtenAt.getTime() < runEndedAt.getTime() + SETTLING_MS;
}

/** Whether GitHub may still have the log of a job. */
export function isWithinRetention(record: JobRecord, now: Date, retentionMs: number): boolean {
  return now.getTime() - Date.parse(momentOf(record)) <= retentionMs;
}
