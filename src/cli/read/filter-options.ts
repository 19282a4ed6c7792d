import type { Command } from 'commander';
import { isNameForKeys } from '../../archive/keys.ts';
import { parseAddress } from '../../archive/find/job-reference.ts';
import { OUTCOMES } from '../../archive/record.ts';
import type { RecordFilters } from '../../archive/find/record-filters.ts';
import { MOMENTS, parseMoment } from '../terminal/format.ts';

/** Filters as they are given on the command line. */
export interface FilterOptions {
  readonly owner?: string | undefined;
  readonly repo?: string | undefined;
  readonly branch?: string | undefined;
  readonly sha?: string | undefined;
  readonly pr?: string | undefined;
  readonly run?: string | undefined;
  readonly job?: string | undefined;
  readonly attempt?: string | undefined;
  readonly workflow?: string | undefined;
  readonly event?: string | undefined;
  readonly actor?: string | undefined;
  readonly conclusion?: string | undefined;
  readonly failed?: boolean | undefined;
  readonly outcome?: string | undefined;
  readonly since?: string | undefined;
  readonly until?: string | undefined;
}

export type ParsedFilters =
  | { readonly ok: true; readonly filters: RecordFilters }
  /** Every problem, each naming its option and what would do. */
  | { readonly ok: false; readonly problems: readonly string[] };

/** Adds the filters' options to a command. */
export function addFilterOptions(command: Command): Command {
  return command
    .option('-R, --repo <owner/repo>', 'this repository, also under its other names; an address does too')
    .option('--owner <owner>', 'repositories of this owner')
    .option('--branch <branch>', 'of this branch')
    .option('--sha <sha>', 'commit, or how it begins')
    .option('--pr <number>', 'jobs of this pull request')
    .option('--run <id>', 'jobs of this run')
    .option('--job <name>', 'jobs of this name, with all values of a matrix')
    .option('--attempt <n>', 'of this attempt of their run')
    .option('--workflow <name>', 'of this workflow, by its name or file (ci.yml)')
    .option('--event <event>', 'of runs that this event started: push, schedule …')
    .option('--actor <login>', 'of runs that this person started')
    .option('--conclusion <conclusion>', 'success, failure, cancelled, skipped …')
    .option('--failed', 'only those that failed, timed out or could not start')
    .option('--outcome <outcome>', 'archived, not_produced, unavailable …')
    .option('--since <date>', MOMENTS)
    .option('--until <date>', 'likewise; a day is included');
}

const NUMBERED = [
  ['pr', 'pullRequest', '--pr takes the number of a pull request'],
  ['run', 'runId', '--run takes the id of a run'],
  ['attempt', 'attempt', '--attempt takes a number'],
] as const;

/** Reads the filters that `ls` and other commands share. A day given to `--until` is included. */
export function parseFilters(options: FilterOptions, now: Date): ParsedFilters {
  const problems: string[] = [];
  const { owner, workflow, event, actor, conclusion, outcome } = options;
  if (owner !== undefined && !isNameForKeys(owner))
    problems.push('--owner takes the name of a user or organisation');
  const place = options.repo === undefined ? null : parseRepository(options.repo);
  if (options.repo !== undefined && place === null)
    problems.push('--repo takes OWNER/REPO, HOST/OWNER/REPO or an address');
  const shaPrefix = options.sha?.toLowerCase();
  if (shaPrefix !== undefined && !/^[0-9a-f]{4,64}$/.test(shaPrefix)) {
    problems.push('--sha takes a commit hash, or at least its first four characters');
  }
  if (outcome !== undefined && !OUTCOMES.some((known) => known === outcome))
    problems.push(`--outcome takes one of ${OUTCOMES.join(', ')}`);
  const numbers: Record<string, number> = {};
  for (const [option, filter, problem] of NUMBERED) {
    const text = options[option];
    if (text === undefined) continue;
    if (/^[1-9]\d{0,15}$/.test(text) && Number.isSafeInteger(Number(text))) numbers[filter] = Number(text);
    else problems.push(problem);
  }
  const since = options.since === undefined ? undefined : parseMoment(options.since, now, 'start');
  const until = options.until === undefined ? undefined : parseMoment(options.until, now, 'end');
  if (since === null) problems.push(`--since takes ${MOMENTS}`);
  if (until === null) problems.push(`--until takes ${MOMENTS}`);
  if (since && until && since > until) problems.push('--since is later than --until');
  if (problems.length > 0) return { ok: false, problems };

  const branch = options.branch?.replace(/^refs\/heads\//, '');
  const texts = { owner, branch, shaPrefix, job: options.job, workflow, event, actor, conclusion, outcome };
  const given = Object.entries(texts).filter(([, value]) => value !== undefined);
  return {
    ok: true,
    filters: {
      ...Object.fromEntries(given),
      ...numbers,
      ...place,
      ...(options.failed === true ? { failed: true } : {}),
      ...(since ? { since } : {}),
      ...(until ? { until } : {}),
    },
  };
}

/** `OWNER/REPO`, `HOST/OWNER/REPO` or an address; null for anything else. */
export function parseRepository(text: string): Pick<RecordFilters, 'host' | 'repo'> | null {
  const parsed = parseAddress(text);
  if (!parsed.ok || parsed.address.kind === 'id') return null;
  const { host, owner, repo } = parsed.address;
  return { repo: { owner, repo }, ...(host === null ? {} : { host }) };
}

/** The filters that a pasted address stands for, on top of those given; or why it cannot be read. */
export function withAddress(filters: RecordFilters, text: string): ParsedFilters {
  const parsed = parseAddress(text);
  if (!parsed.ok) return { ok: false, problems: [parsed.problem] };
  const { address } = parsed;
  if (address.kind === 'id') {
    const host = address.host === null ? {} : { host: address.host };
    return { ok: true, filters: { ...filters, ...host, anyId: address.id } };
  }
  const place = {
    repo: { owner: address.owner, repo: address.repo },
    ...(address.host === null ? {} : { host: address.host }),
  };
  const what =
    address.kind === 'place'
      ? {
          ...(address.runId === null ? {} : { runId: address.runId }),
          // A job that was copied into another attempt is filed where it was first seen.
          ...(address.attempt === null || address.jobId !== null ? {} : { attempt: address.attempt }),
          ...(address.jobId === null ? {} : { jobId: address.jobId }),
        }
      : {
          ...(address.sha === null ? {} : { shaPrefix: address.sha }),
          ...(address.number === null ? {} : { pullRequest: address.number }),
        };
  return { ok: true, filters: { ...filters, ...place, ...what } };
}
