import { z } from 'zod';
import type { JobRecord } from '../archive/record.ts';

/** A step of a job, as GitHub gave it. */
export interface JobStep {
  readonly number: number;
  readonly name: string;
  readonly conclusion: string | null;
  /** Whole seconds, as milliseconds since 1970. */
  readonly startedMs: number | null;
  readonly completedMs: number | null;
}

const stepSchema = z.looseObject({
  number: z.number(),
  name: z.string(),
  conclusion: z.string().nullish(),
  started_at: z.string().nullish(),
  completed_at: z.string().nullish(),
});

const SECOND_MS = 1_000;
const FAILED: ReadonlySet<string> = new Set(['failure', 'timed_out']);
/** Conclusions of a job that has nothing to look for a failure in. */
const NOT_FAILED: ReadonlySet<string> = new Set(['success', 'neutral', 'skipped']);

/** The steps of a job by number; what GitHub gave in another shape is left out. */
export function stepsOf(record: JobRecord): JobStep[] {
  const given = record.job.member('steps')?.value();
  if (!Array.isArray(given)) return [];
  const steps: JobStep[] = [];
  for (const one of given) {
    const { success, data } = stepSchema.safeParse(one);
    if (!success) continue;
    const { number, name, conclusion, started_at, completed_at } = data;
    steps.push({
      number,
      name,
      conclusion: conclusion ?? null,
      startedMs: stepSecond(started_at),
      completedMs: stepSecond(completed_at),
    });
  }
  return steps.sort((a, b) => a.number - b.number);
}

/**
 * The steps to show when asked for the failed ones: those that failed or timed out. Where the job failed and none of its
 * steps did, the cancelled ones, else the last that ran. None when the job did not fail.
 */
export function failedStepsOf(record: JobRecord): JobStep[] {
  const steps = stepsOf(record);
  const failed = steps.filter((step) => FAILED.has(step.conclusion ?? ''));
  if (failed.length > 0 || record.conclusion === null || NOT_FAILED.has(record.conclusion)) return failed;
  const cancelled = steps.filter((step) => step.conclusion === 'cancelled');
  return cancelled.length > 0 ? cancelled : steps.filter((step) => step.conclusion !== 'skipped').slice(-1);
}

/**
 * The steps that a person means by a number or a name: those of that number; else those of that very name without regard to
 * case, else whose name begins with it, else whose name holds it.
 */
export function stepsNamed(steps: readonly JobStep[], wanted: string): JobStep[] {
  if (/^[1-9]\d{0,8}$/.test(wanted)) {
    const numbered = steps.filter(({ number }) => number === Number(wanted));
    if (numbered.length > 0) return numbered;
  }
  const name = wanted.trim().toLowerCase();
  const matches: readonly ((stepName: string) => boolean)[] = [
    (stepName) => stepName === name,
    (stepName) => stepName.startsWith(name),
    (stepName) => stepName.includes(name),
  ];
  for (const isMeant of matches) {
    const meant = name === '' ? [] : steps.filter((step) => isMeant(step.name.toLowerCase()));
    if (meant.length > 0) return meant;
  }
  return [];
}

/** Says to which step each line of a log belongs, asked line by line in order. */
export interface StepLocator {
  /**
   * @param stampMs the line's stamp, or null where it has none
   * @param start the first characters of the line behind its stamp
   */
  locate(stampMs: number | null, start: string): JobStep | null;
}

/**
 * A log does not say where a step begins; its lines have stamps, and GitHub gives each step's start and end in whole
 * seconds. The rule:
 * - A line belongs to the step in whose time it was written, both end seconds included; null when there is none.
 * - In a second in which one step ended and another began, it belongs to the one that began.
 * - Where several steps began in one second, its lines go to the first of them until a line looks like the start of the
 *   next (`##[group]Run …`, `Post job cleanup.`, `Cleaning up orphan processes`).
 * - A line without a stamp continues the line before and belongs where that one does.
 * - Skipped steps print nothing. A step without an end lasts until the next begins.
 */
export function createStepLocator(steps: readonly JobStep[]): StepLocator {
  const spans = spansOf(steps);
  let secondMs: number | null = null;
  let current: JobStep | null = null;
  /** Steps that began in this second behind the current one. */
  let following: JobStep[] = [];
  let isOpened = false;

  return {
    locate(stampMs, start) {
      if (stampMs === null) return current;
      const second = Math.floor(stampMs / SECOND_MS) * SECOND_MS;
      if (second !== secondMs) {
        secondMs = second;
        const running = spans.filter(({ fromMs, toMs }) => fromMs <= second && second <= toMs);
        const begun = running.filter(({ fromMs }) => fromMs === second);
        const [first, ...others] = (begun.length > 0 ? begun : running).map(({ step }) => step);
        current = first ?? null;
        following = begun.length > 0 ? others : [];
        isOpened = false;
      }
      const [next] = following;
      if (current === null || next === undefined) return current;
      if (!isOpened && looksLikeStartOf(current, start)) {
        isOpened = true;
      } else if (looksLikeStartOf(next, start)) {
        current = next;
        following = following.slice(1);
        isOpened = true;
      }
      return current;
    },
  };
}

interface StepSpan {
  readonly step: JobStep;
  readonly fromMs: number;
  readonly toMs: number;
}

function spansOf(steps: readonly JobStep[]): StepSpan[] {
  const starts: { step: JobStep; fromMs: number }[] = [];
  for (const step of steps) {
    if (step.startedMs !== null && step.conclusion !== 'skipped')
      starts.push({ step, fromMs: step.startedMs });
  }
  starts.sort((a, b) => a.fromMs - b.fromMs || a.step.number - b.step.number);
  return starts.map(({ step, fromMs }, index) => ({
    step,
    fromMs,
    toMs: step.completedMs ?? starts[index + 1]?.fromMs ?? Infinity,
  }));
}

function looksLikeStartOf(step: JobStep, start: string): boolean {
  if (step.name === 'Set up job') return false;
  if (step.name === 'Complete job') return start.startsWith('Cleaning up orphan processes');
  if (step.name.startsWith('Post ') && start.startsWith('Post job cleanup.')) return true;
  return start.startsWith('##[group]Run ');
}

function stepSecond(text: string | null | undefined): number | null {
  const ms = Date.parse(text ?? '');
  return Number.isNaN(ms) ? null : Math.floor(ms / SECOND_MS) * SECOND_MS;
}
