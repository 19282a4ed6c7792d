import { setTimeout as sleep } from 'node:timers/promises';
import { newestRevisions, readRecord } from '../../archive/find/find-records.ts';
import { RECORDS_ROOT } from '../../archive/keys.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import type { JobRecord } from '../../archive/record.ts';
import type { SendResult } from '../../simulator/deliveries.ts';
import type { ScenarioStep } from '../../simulator/scenario.ts';
import type { Simulator } from '../../simulator/simulator.ts';

/** The receiver's answer to a delivery. */
export interface DemoAnswer {
  /** 0: there was none. */
  readonly status: number;
  /** `queued`, `duplicate`, `bad_signature` …; null when the answer does not say. */
  readonly outcome: string | null;
}

/** A record that came of a delivery. */
export interface SeenRecord {
  readonly record: JobRecord;
  readonly key: string;
  /** From the sending of the job's first delivery. */
  readonly tookMs: number;
}

/** Hears what happens, by the step's place in the scenario. */
export interface DemoListener {
  onSending(step: number): void;
  onAnswer(step: number, answer: DemoAnswer): void;
  onRecord(step: number, seen: SeenRecord): void;
}

export interface PlayedScenario {
  readonly steps: readonly ScenarioStep[];
  /** Of each step. */
  readonly answers: readonly DemoAnswer[];
  /** By job id; a job that the archive never accounted for is missing. */
  readonly records: ReadonlyMap<number, SeenRecord>;
  readonly runEvents: { readonly sent: number; readonly queued: number };
}

/** Leaves a job whose first try failed time for some more; all else is done within seconds. */
const SETTLE_TIMEOUT_MS = 45_000;
/** How often the archive is looked at: below what the eye notices. */
const LOOK_AGAIN_MS = 50;

/**
 * Sends the scenario's deliveries in order, with the announcements of the runs around them, and waits until every job that
 * should be in the archive is there, at most 45 s after the last delivery.
 */
export async function playScenario(
  simulator: Simulator,
  store: ObjectStore,
  steps: readonly ScenarioStep[],
  listener: DemoListener,
): Promise<PlayedScenario> {
  const watch = new RecordWatch(store, steps, listener);
  const looking = new AbortController();
  const watching = watch.until(looking.signal);
  try {
    const answers: DemoAnswer[] = [];
    const events: DemoAnswer[] = [];
    for (const [index, step] of steps.entries()) {
      if (isFirstOfRun(simulator, steps, index)) events.push(await announce(simulator, step, 'requested'));
      listener.onSending(index);
      watch.sent(step.jobId);
      const answer = answerOf(await step.send());
      answers.push(answer);
      listener.onAnswer(index, answer);
      if (isLastOfRun(simulator, steps, index)) events.push(await announce(simulator, step, 'completed'));
    }
    const timer = setTimeout(() => looking.abort(), SETTLE_TIMEOUT_MS);
    await watching.finally(() => clearTimeout(timer));
    const queued = events.filter(({ status, outcome }) => status === 202 && outcome !== 'ignored').length;
    return { steps, answers, records: watch.records, runEvents: { sent: events.length, queued } };
  } finally {
    looking.abort();
    await watching.catch(() => undefined);
  }
}

/** Looks for the records that the scenario should lead to. */
class RecordWatch {
  readonly records = new Map<number, SeenRecord>();
  readonly #store: ObjectStore;
  readonly #listener: DemoListener;
  /** Step by job id, of the jobs that should get a record. */
  readonly #awaited: ReadonlyMap<number, number>;
  readonly #sentAtMs = new Map<number, number>();

  constructor(store: ObjectStore, steps: readonly ScenarioStep[], listener: DemoListener) {
    this.#store = store;
    this.#listener = listener;
    const awaited = [...steps.entries()].filter(
      ([, { expect }]) => expect === 'archived' || expect === 'not_produced',
    );
    this.#awaited = new Map(awaited.map(([index, { jobId }]) => [jobId, index]));
  }

  sent(jobId: number): void {
    if (!this.#sentAtMs.has(jobId)) this.#sentAtMs.set(jobId, performance.now());
  }

  /** Resolves when all records are there, or soon after the signal. */
  async until(signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#look();
      if (this.records.size === this.#awaited.size || signal.aborted) return;
      await sleep(LOOK_AGAIN_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  async #look(): Promise<void> {
    for await (const entry of newestRevisions(this.#store.list(RECORDS_ROOT))) {
      const { jobId } = entry.address;
      const step = this.#awaited.get(jobId);
      if (step === undefined || this.records.has(jobId)) continue;
      const read = await readRecord(this.#store, entry);
      if (!read.ok) continue;
      const tookMs = performance.now() - (this.#sentAtMs.get(jobId) ?? performance.now());
      const seen = { record: read.stored.record, key: entry.key, tookMs };
      this.records.set(jobId, seen);
      this.#listener.onRecord(step, seen);
    }
  }
}

/**
 * The run attempt that a step's job belongs to; null for a job that does not exist, and for an attempt that is not its run's
 * current one: deliveries about runs are made of the run as it is now.
 */
function announcedRun({ world }: Simulator, { jobId }: ScenarioStep): number | null {
  const job = world.jobs.get(jobId)?.facts;
  return job !== undefined && world.run(job.run_id).run_attempt === job.run_attempt ? job.run_id : null;
}

function isFirstOfRun(simulator: Simulator, steps: readonly ScenarioStep[], index: number): boolean {
  return standsAlone(simulator, steps[index], steps.slice(0, index));
}

function isLastOfRun(simulator: Simulator, steps: readonly ScenarioStep[], index: number): boolean {
  return standsAlone(simulator, steps[index], steps.slice(index + 1));
}

function standsAlone(
  simulator: Simulator,
  step: ScenarioStep | undefined,
  others: readonly ScenarioStep[],
): boolean {
  const run = step === undefined ? null : announcedRun(simulator, step);
  return run !== null && others.every((other) => announcedRun(simulator, other) !== run);
}

async function announce(
  simulator: Simulator,
  { jobId }: ScenarioStep,
  action: 'requested' | 'completed',
): Promise<DemoAnswer> {
  return answerOf(await simulator.deliveries.run(simulator.world.job(jobId).facts.run_id, action));
}

function answerOf({ status, body }: SendResult): DemoAnswer {
  try {
    const answer: unknown = JSON.parse(body);
    const outcome = typeof answer === 'object' && answer !== null ? Reflect.get(answer, 'outcome') : null;
    return { status, outcome: typeof outcome === 'string' ? outcome : null };
  } catch {
    return { status, outcome: null };
  }
}
