import { parseJobReference } from '../../archive/find/job-reference.ts';
import { giveUp } from '../../errors.ts';
import type { VerifiedPart } from '../../ledger/verify/selection.ts';
import type { VerifyOptions } from '../../ledger/verify/verify.ts';
import { LEVELS, type Level } from '../../ledger/verify/scope.ts';
import { inertText } from '../../log/terminal-sanitiser.ts';
import { parseRepository } from '../read/filter-options.ts';
import { formatCount, parseMoment } from '../terminal/format.ts';

/** The options of `everlog verify`, as they are given and as they are meant. */

export interface VerifyCommandOptions {
  readonly archive?: string;
  readonly bundle?: string;
  readonly key?: string;
  readonly from?: string;
  readonly to?: string;
  readonly anchor?: string;
  readonly level?: string;
  readonly sample?: string;
  readonly job?: string;
  readonly run?: string;
  readonly repo?: string;
  readonly record?: boolean;
  readonly json?: boolean;
}

export type VerifyTerms = Pick<
  VerifyOptions,
  'isBundle' | 'level' | 'sample' | 'range' | 'selection' | 'pinnedKeyId'
>;

/** The sample is held in memory. */
const SAMPLE_MAX = 100_000;
const DATES = '2026-11-20, an RFC 3339 time, or a duration ago like 7d';

/**
 * Reads the options.
 * @throws EverlogError `usage` naming every option that cannot be and what would do
 */
export function parseTerms(options: VerifyCommandOptions, now: Date): VerifyTerms {
  const problems: string[] = [];
  const level = LEVELS.find((it) => it === (options.level ?? 'bytes'));
  if (level === undefined) problems.push(`--level takes ${LEVELS.join(', ')}`);
  const sample = options.sample === undefined ? null : parseSample(options.sample);
  if (sample === undefined) problems.push(`--sample takes a number from 1 to ${formatCount(SAMPLE_MAX)}`);
  const key = options.key?.toLowerCase().replaceAll(/^sha256:|:/g, '');
  if (key !== undefined && !/^[0-9a-f]{64}$/.test(key)) {
    problems.push('--key takes the SHA-256 of a key in 64 hex digits, as everlog keys ls prints it');
  }
  const from = options.from === undefined ? undefined : parseMoment(options.from, now, 'start');
  const to = options.to === undefined ? undefined : parseMoment(options.to, now, 'end');
  if (from === null) problems.push(`--from takes ${DATES}`);
  if (to === null) problems.push(`--to takes ${DATES}`);
  if (from && to && from > to) problems.push('--from is later than --to');
  const selection = parseSelection(options);
  if (typeof selection === 'string') problems.push(selection);
  if (options.bundle !== undefined) problems.push(...bundleProblems(options));
  if (problems.length > 0 || level === undefined || sample === undefined || typeof selection === 'string') {
    throw giveUp('usage', problems.map((problem) => `verify: ${problem}`).join('\neverlog: '));
  }
  return {
    isBundle: options.bundle !== undefined,
    level: sample === null ? level : levelBesideSample(level),
    sample,
    range: { fromMs: from?.getTime() ?? null, toMs: to?.getTime() ?? null },
    selection,
    pinnedKeyId: key ?? null,
  };
}

/** What is to be looked at; null: everything; a text: what is wrong with what was given. */
function parseSelection({ job, run, repo }: VerifyCommandOptions): VerifiedPart | string | null {
  if ([job, run, repo].filter((it) => it !== undefined).length > 1)
    return 'give one of --job, --run and --repo';
  if (repo !== undefined) {
    const place = parseRepository(repo);
    return place?.repo === undefined
      ? '--repo takes OWNER/REPO, HOST/OWNER/REPO or an address'
      : { kind: 'repository', host: place.host ?? null, ...place.repo };
  }
  const given = job ?? run;
  if (given === undefined) return null;
  const parsed = parseJobReference(given);
  const option = job === undefined ? '--run' : '--job';
  if (!parsed.ok) return `${option} ${inertText(given)}: ${parsed.problem}`;
  const { reference } = parsed;
  const { host } = reference;
  const [jobId, runId] =
    reference.kind === 'id' ? [reference.id, reference.id] : [reference.jobId, reference.runId];
  if (job !== undefined) {
    return jobId === null ? '--job names a run: give it with --run' : { kind: 'job', host, jobId };
  }
  if (runId === null) return '--run names a job: give it with --job';
  return { kind: 'run', host, runId };
}

function parseSample(text: string): number | undefined {
  const count = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  return count >= 1 && count <= SAMPLE_MAX ? count : undefined;
}

/** Bytes are what the sample is for; the other entries are looked at only where that was asked for. */
function levelBesideSample(level: Level): Level {
  return level === 'heads' ? 'heads' : 'ledger';
}

function bundleProblems({ archive, record }: VerifyCommandOptions): string[] {
  return [
    ...(archive === undefined ? [] : ['--bundle and --archive exclude each other']),
    ...(record === true ? ['--record goes with an archive: a bundle is a copy, and nobody seals it'] : []),
  ];
}
