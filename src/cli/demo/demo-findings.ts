import { createHash } from 'node:crypto';
import { LOGS_ROOT, parseKey, RECORDS_ROOT } from '../../archive/keys.ts';
import { readLog } from '../../log/log-reader.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import type { JobRecord, RecordedLog } from '../../archive/record.ts';
import { EverlogError } from '../../errors.ts';
import { digestLog } from '../../simulator/logs/log-source.ts';
import type { LogSource } from '../../simulator/logs/log-source.ts';
import type { ExpectedEnding, ScenarioStep } from '../../simulator/scenario.ts';
import type { World } from '../../simulator/world.ts';
import type { DemoAnswer, PlayedScenario, SeenRecord } from './demo-deliveries.ts';

/** One delivery with what should and what did come of it. */
export interface DemoJob {
  readonly title: string;
  readonly repository: string;
  readonly jobId: number;
  /** Null for a job that does not exist. */
  readonly jobName: string | null;
  readonly runAttempt: number | null;
  readonly expected: ExpectedEnding;
  /** The expectation's word when it came true. */
  readonly found: string;
  readonly answer: DemoAnswer;
  readonly record: JobRecord | null;
  readonly recordKey: string | null;
  readonly tookMs: number | null;
  /** Empty when all is as it should be. */
  readonly problems: readonly string[];
}

/** What the archive holds, compared with what the simulated GitHub has. */
export interface DemoFindings {
  readonly jobs: readonly DemoJob[];
  readonly objects: { readonly records: number; readonly logs: number };
  /** Logs whose every byte was compared. */
  readonly compared: { readonly logs: number; readonly bytes: number };
  readonly runEvents: PlayedScenario['runEvents'];
  /** All problems, those of single jobs included. */
  readonly problems: readonly string[];
}

type ObjectsByJob = ReadonlyMap<number, readonly string[]>;

/**
 * Compares the archive with the simulated GitHub: every expected job has its record, every log its source's bytes, and no
 * job has more than one of either. The source is read by the simulator's own code, which shares none with the archive's.
 * @throws EverlogError where the archive does not answer.
 */
export async function compareWithSource(
  store: ObjectStore,
  world: World,
  played: PlayedScenario,
): Promise<DemoFindings> {
  const records = await objectsByJob(store, RECORDS_ROOT);
  const logs = await objectsByJob(store, LOGS_ROOT);
  const jobs: DemoJob[] = [];
  const compared = { logs: 0, bytes: 0 };
  for (const [index, step] of played.steps.entries()) {
    const answer = played.answers[index] ?? { status: 0, outcome: null };
    const seen = isFirstAbout(step) ? played.records.get(step.jobId) : undefined;
    const found = foundOf(step, answer, seen?.record ?? null, records);
    const problems = [
      ...stepProblems(step, found, answer),
      ...(await logProblems(store, world, step, seen?.record.log ?? null)),
      ...duplicates(step, 'record', records),
      ...duplicates(step, 'log', logs),
    ];
    if (seen?.record.log !== undefined && seen.record.log !== null) {
      compared.logs += 1;
      compared.bytes += seen.record.log.bytes;
    }
    jobs.push(demoJob(step, world, { found, answer, seen, problems }));
  }
  const { runEvents } = played;
  return {
    jobs,
    compared,
    runEvents,
    objects: { records: countAll(records), logs: countAll(logs) },
    problems: [
      ...jobs.flatMap(({ title, jobId, problems }) => problems.map((it) => `${title} (job ${jobId}): ${it}`)),
      ...strangers(world, records, logs),
      ...(runEvents.queued === runEvents.sent
        ? []
        : [`only ${runEvents.queued} of ${runEvents.sent} deliveries about runs were queued`]),
    ],
  };
}

/** Objects of each job below `root`; the newest revision and the ones before it count alike. */
async function objectsByJob(store: ObjectStore, root: string): Promise<ObjectsByJob> {
  const objects = new Map<number, string[]>();
  for await (const { key } of store.list(root)) {
    const parsed = parseKey(key);
    const jobId = parsed?.type === 'record' || parsed?.type === 'log' ? parsed.address.jobId : 0;
    objects.set(jobId, [...(objects.get(jobId) ?? []), key]);
  }
  return objects;
}

/** Whether a step's job is looked at with it, rather than with the step that came before it. */
function isFirstAbout({ expect }: ScenarioStep): boolean {
  return expect === 'archived' || expect === 'not_produced';
}

function foundOf(
  { expect, jobId }: ScenarioStep,
  { status, outcome }: DemoAnswer,
  record: JobRecord | null,
  records: ObjectsByJob,
): string {
  switch (expect) {
    case 'archived':
    case 'not_produced':
      return record?.outcome ?? 'no record';
    case 'duplicate':
      return outcome ?? `HTTP ${status}`;
    case 'refused':
      if (records.has(jobId)) return 'recorded';
      return status >= 400 && status < 500 ? 'refused' : (outcome ?? `HTTP ${status}`);
  }
}

function stepProblems({ expect }: ScenarioStep, found: string, { status, outcome }: DemoAnswer): string[] {
  const answered = status === 0 ? 'there was no answer' : `the answer was ${status} ${outcome ?? ''}`.trim();
  const isAnswered = expect === 'refused' ? status === 401 : status === 202;
  return [
    ...(found === expect ? [] : [`expected ${expect}, found ${found}`]),
    ...(isAnswered ? [] : [`expected ${expect === 'refused' ? 401 : 202}, ${answered}`]),
  ];
}

async function logProblems(
  store: ObjectStore,
  world: World,
  { jobId, expect }: ScenarioStep,
  log: RecordedLog | null,
): Promise<string[]> {
  const source = world.jobs.get(jobId)?.log ?? null;
  if (expect !== 'archived' || log === null) return [];
  if (source === null) return ['a log is archived that GitHub does not have'];
  return compareLog(store, log, source);
}

async function compareLog(store: ObjectStore, log: RecordedLog, source: LogSource): Promise<string[]> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of readLog(store, log)) hash.update(chunk);
  } catch (error) {
    if (error instanceof EverlogError && error.remedy.kind === 'give_up') return [error.message];
    throw error;
  }
  const [sha256, wanted] = [hash.digest('hex'), digestLog(source)];
  const problems: string[] = [];
  if (sha256 !== wanted.sha256) problems.push(`the log has SHA-256 ${sha256}, at GitHub ${wanted.sha256}`);
  if (log.bytes !== wanted.bytes) problems.push(`recorded are ${log.bytes} bytes, at GitHub ${wanted.bytes}`);
  if (log.lines !== wanted.lines) problems.push(`recorded are ${log.lines} lines, at GitHub ${wanted.lines}`);
  return problems;
}

function duplicates({ jobId }: ScenarioStep, kind: 'record' | 'log', objects: ObjectsByJob): string[] {
  const keys = objects.get(jobId) ?? [];
  return keys.length > 1 ? [`there are ${keys.length} ${kind} objects: ${keys.join(', ')}`] : [];
}

/** Objects that belong to no job of the simulated GitHub. */
function strangers(world: World, ...all: readonly ObjectsByJob[]): string[] {
  return all
    .flatMap((objects) =>
      [...objects].filter(([jobId]) => !world.jobs.has(jobId)).flatMap(([, keys]) => keys),
    )
    .map((key) => `${key} belongs to no job that GitHub has`);
}

function countAll(objects: ObjectsByJob): number {
  return [...objects.values()].reduce((sum, keys) => sum + keys.length, 0);
}

function demoJob(
  step: ScenarioStep,
  world: World,
  facts: Pick<DemoJob, 'found' | 'answer' | 'problems'> & { seen: SeenRecord | undefined },
): DemoJob {
  const job = world.jobs.get(step.jobId)?.facts;
  const { seen, ...rest } = facts;
  return {
    title: step.title,
    repository: step.repository,
    jobId: step.jobId,
    jobName: job?.name ?? null,
    runAttempt: job?.run_attempt ?? null,
    expected: step.expect,
    record: seen?.record ?? null,
    recordKey: seen?.key ?? null,
    tookMs: seen?.tookMs ?? null,
    ...rest,
  };
}
