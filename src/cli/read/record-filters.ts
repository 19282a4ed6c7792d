import type { Command } from 'commander';
import { isNameForKeys } from '../../archive/keys.ts';
import { OUTCOMES } from '../../archive/record.ts';
import type { RecordFilters } from '../../archive/scan-records.ts';
import { parseMoment } from '../terminal/format.ts';

/** Filters as they are given on the command line. */
export interface FilterOptions {
  readonly owner?: string | undefined;
  readonly repo?: string | undefined;
  readonly branch?: string | undefined;
  readonly sha?: string | undefined;
  readonly workflow?: string | undefined;
  readonly conclusion?: string | undefined;
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
    .option('--owner <owner>', 'repositories of this owner')
    .option('--repo <owner/repo>', 'this repository, also under its other names')
    .option('--branch <branch>')
    .option('--sha <sha>', 'commit, or how it begins')
    .option('--workflow <name>')
    .option('--conclusion <conclusion>', 'success, failure, cancelled, skipped …')
    .option('--outcome <outcome>', 'archived, not_produced, unavailable …')
    .option('--since <date>', 'date, RFC 3339, or a duration ago such as 7d')
    .option('--until <date>', 'likewise');
}

const DATES = '2026-11-20, an RFC 3339 time, or a duration ago like 7d';

/** Reads the filters that `ls` and other commands share. A day given to `--until` is included. */
export function parseFilters(options: FilterOptions, now: Date): ParsedFilters {
  const problems: string[] = [];
  const { owner, branch, workflow, conclusion, outcome } = options;

  if (owner !== undefined && !isNameForKeys(owner))
    problems.push('--owner takes the name of a user or organisation');
  const [repoOwner, repoName, ...rest] = options.repo?.split('/') ?? [];
  const repo =
    repoOwner !== undefined &&
    repoName !== undefined &&
    rest.length === 0 &&
    [repoOwner, repoName].every(isNameForKeys)
      ? { owner: repoOwner, repo: repoName }
      : undefined;
  if (options.repo !== undefined && repo === undefined) problems.push('--repo takes OWNER/REPO');
  const shaPrefix = options.sha?.toLowerCase();
  if (shaPrefix !== undefined && !/^[0-9a-f]{4,64}$/.test(shaPrefix)) {
    problems.push('--sha takes a commit hash, or at least its first four characters');
  }
  if (outcome !== undefined && !OUTCOMES.some((known) => known === outcome))
    problems.push(`--outcome takes one of ${OUTCOMES.join(', ')}`);
  const since = options.since === undefined ? undefined : parseMoment(options.since, now, 'start');
  const until = options.until === undefined ? undefined : parseMoment(options.until, now, 'end');
  if (since === null) problems.push(`--since takes ${DATES}`);
  if (until === null) problems.push(`--until takes ${DATES}`);
  if (since && until && since > until) problems.push('--since is later than --until');

  if (problems.length > 0) return { ok: false, problems };
  return {
    ok: true,
    filters: {
      ...(owner === undefined ? {} : { owner }),
      ...(repo === undefined ? {} : { repo }),
      ...(branch === undefined ? {} : { branch }),
      ...(shaPrefix === undefined ? {} : { shaPrefix }),
      ...(workflow === undefined ? {} : { workflow }),
      ...(conclusion === undefined ? {} : { conclusion }),
      ...(outcome === undefined ? {} : { outcome }),
      ...(since ? { since } : {}),
      ...(until ? { until } : {}),
    },
  };
}
