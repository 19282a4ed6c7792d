import type { Command } from 'commander';
import { z } from 'zod';
import { giveUp } from '../../errors.ts';
import type { FailedJob } from '../../queue/job-queue.ts';
import type { QueuedState } from '../../queue/queued-state.ts';
import type { QueueControl } from '../../control/requests.ts';
import { EXIT } from '../exit.ts';
import { openCommandQueue, openWorkingQueue, settled } from '../queue-work.ts';
import { formatMoment } from '../terminal/format.ts';
import { formatTable } from '../terminal/table.ts';
import { standardTerminal } from '../terminal/standard-terminal.ts';
import { print, tell } from '../terminal/print.ts';

/** `everlog failed ls|retry|drop`: jobs whose retries ran out. */

/** Failed jobs read at once by a command; more than this are a flood that wants its cause mended first. */
const FAILED_MAX = 100_000;

export function registerFailed(program: Command, done: (exit: number) => void): void {
  const failed = program.command('failed').description('jobs whose retries ran out');
  failed
    .command('ls')
    .description('list them, newest first')
    .option('--limit <n>', 'how many at most', limitOf, 50)
    .option('--json', 'NDJSON')
    .action(async (options: { limit: number; json?: boolean }) => done(await listFailed(options)));
  failed
    .command('retry')
    .description('try them again from the start')
    .argument('[job...]', 'job ids, GitHub’s or the queue’s')
    .option('--all', 'all of them')
    .option('--wait', 'wait until they have ended or been put off')
    .option('--json', 'one JSON document')
    .action(async (jobs: string[], options: RetryOptions) => done(await retry(jobs, options)));
  failed
    .command('drop')
    .description('take them out of the queue; the jobs stay gaps in the archive')
    .argument('<job...>', 'job ids, GitHub’s or the queue’s')
    .requiredOption('--reason <text>', 'why; digests tell of it until the job is recorded')
    .option('--json', 'one JSON document')
    .action(async (jobs: string[], options: { reason: string; json?: boolean }) =>
      done(await dropChosen(jobs, options)),
    );
}

interface RetryOptions {
  readonly all?: boolean;
  readonly wait?: boolean;
  readonly json?: boolean;
}

async function listFailed(options: { limit: number; json?: boolean }): Promise<number> {
  const queue = await openCommandQueue();
  try {
    const jobs = await queue.control.failed(options.limit);
    if (options.json === true) {
      for (const job of jobs) print(`${JSON.stringify(failedDocument(job))}\n`);
      return EXIT.ok;
    }
    if (jobs.length === 0) tell('no failed jobs\n');
    else print(failedTable(jobs));
    return EXIT.ok;
  } finally {
    await queue.close();
  }
}

async function retry(jobs: readonly string[], options: RetryOptions): Promise<number> {
  if ((jobs.length === 0) === (options.all !== true))
    throw giveUp('usage', 'name the jobs to try again, or give --all');
  const queue = await openWorkingQueue();
  try {
    const chosen = await chooseFailed(queue.control, options.all === true ? null : jobs);
    const queued: string[] = [];
    for (const { id } of chosen.found) if (await queue.control.retryFailed(id)) queued.push(id);
    const waits = options.wait === true || queue.waits;
    const states = waits
      ? await settled(queue.control, queued, () => undefined)
      : new Map<string, QueuedState>();
    const gaps = [...states].filter(([, { state }]) => state === 'put_off' || state === 'failed');
    report({ queued, missing: chosen.missing, gaps }, options.json === true);
    if (chosen.missing.length > 0) return EXIT.notFound;
    return gaps.length > 0 ? EXIT.findings : EXIT.ok;
  } finally {
    await queue.close();
  }
}

async function dropChosen(
  jobs: readonly string[],
  options: { reason: string; json?: boolean },
): Promise<number> {
  if (options.reason.trim() === '') throw giveUp('usage', '--reason is empty: say why the jobs are dropped');
  const queue = await openCommandQueue();
  try {
    const chosen = await chooseFailed(queue.control, jobs);
    const dropped: string[] = [];
    for (const { id } of chosen.found)
      if (await queue.control.dropFailed(id, options.reason)) dropped.push(id);
    if (options.json === true) {
      print(`${JSON.stringify({ dropped, missing: chosen.missing, reason: options.reason })}\n`);
    } else {
      for (const id of dropped) print(`dropped ${id}: it stays a gap until something finds it again\n`);
      for (const id of chosen.missing) tell(`everlog: no failed job ${id}\n`);
    }
    return chosen.missing.length > 0 ? EXIT.notFound : EXIT.ok;
  } finally {
    await queue.close();
  }
}

/** Finds failed jobs by the queue's id or by GitHub's job id, with or without its host; null takes all. */
async function chooseFailed(
  control: QueueControl,
  wanted: readonly string[] | null,
): Promise<{ found: readonly FailedJob[]; missing: readonly string[] }> {
  const jobs = await control.failed(FAILED_MAX);
  if (wanted === null) return { found: jobs, missing: [] };
  const matching = (want: string): FailedJob[] =>
    jobs.filter((job) => {
      const { host, job_id: jobId } = subject(job);
      return job.id === want || (jobId !== undefined && [String(jobId), `${host}/${jobId}`].includes(want));
    });
  return {
    found: [...new Set(wanted.flatMap(matching))],
    missing: wanted.filter((want) => matching(want).length === 0),
  };
}

function report(
  result: {
    queued: readonly string[];
    missing: readonly string[];
    gaps: readonly (readonly [string, QueuedState])[];
  },
  json: boolean,
): void {
  const { queued, missing, gaps } = result;
  if (json) {
    const gapList = gaps.map(([id, { state, reason, nextAt }]) => ({
      id,
      state,
      reason,
      next_at: nextAt?.toISOString() ?? null,
    }));
    print(`${JSON.stringify({ queued, missing, gaps: gapList })}\n`);
    return;
  }
  for (const id of queued) print(`queued ${id}\n`);
  for (const [id, { state, reason, nextAt }] of gaps) {
    const next = nextAt === null ? '' : `, next look ${nextAt.toISOString()}`;
    print(`gap ${id}: ${state === 'failed' ? 'failed' : 'put off'}: ${reason ?? 'no reason noted'}${next}\n`);
  }
  for (const id of missing) tell(`everlog: no failed job ${id}\n`);
}

const subjectSchema = z.object({
  host: z.string().optional(),
  owner: z.string().optional(),
  repo: z.string().optional(),
  job_id: z.number().optional(),
  run_id: z.number().optional(),
  run_attempt: z.number().nullish(),
});

/** What a job is about, as far as its data says. */
function subject(job: FailedJob): z.infer<typeof subjectSchema> {
  const parsed = subjectSchema.safeParse(job.data);
  return parsed.success ? parsed.data : {};
}

function failedDocument(job: FailedJob): Record<string, unknown> {
  const { id, name, reason, attempts, failedAt } = job;
  const { host, owner, repo, run_id, run_attempt, job_id } = subject(job);
  const about = {
    host: host ?? null,
    owner: owner ?? null,
    repo: repo ?? null,
    run_id: run_id ?? null,
    run_attempt: run_attempt ?? null,
    job_id: job_id ?? null,
  };
  return { id, name, ...about, reason, attempts, failed_at: failedAt?.toISOString() ?? null };
}

function failedTable(jobs: readonly FailedJob[]): string {
  return formatTable(
    [
      { title: 'FAILED AT' },
      { title: 'JOB ID' },
      { title: 'REPOSITORY', shrinkTo: 12 },
      { title: 'TRIES', align: 'right' },
      { title: 'REASON', shrinkTo: 20 },
    ],
    jobs.map((job) => {
      const { owner, repo, job_id } = subject(job);
      return [
        { text: formatMoment(job.failedAt?.toISOString() ?? null) },
        { text: String(job_id ?? job.id) },
        { text: owner === undefined ? '' : `${owner}/${repo ?? ''}` },
        { text: String(job.attempts) },
        { text: job.reason, tone: 'bad' as const },
      ];
    }),
    standardTerminal(),
  );
}

function limitOf(text: string): number {
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
  throw giveUp('usage', `--limit ${text} is not a whole number from 1 to 999999`);
}
