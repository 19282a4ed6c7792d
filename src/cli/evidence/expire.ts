import type { Command } from 'commander';
import { expire, type ExpiryOptions, type ExpiryReport } from '../../archive/custody/expiry.ts';
import { isNameForKeys } from '../../archive/keys.ts';
import { loadExpiryRules } from '../../config/expiry-rules.ts';
import { loadConfig, type Config } from '../../config.ts';
import { giveUp } from '../../errors.ts';
import { parseDuration } from '../../units.ts';
import { confirmed } from '../terminal/confirm.ts';
import { givenOptions, withCustodyWork } from './custody-work.ts';
import { EXIT } from '../exit.ts';
import { counted, formatCount, formatDuration } from '../terminal/format.ts';
import { inertText } from '../../log/terminal-sanitiser.ts';
import { lockedDocument, lockedLine, sealedByText } from './removal-report.ts';

/** `everlog expire`: removes what is past the rule for its host, owner and repository, with evidence. */

interface ExpireCommand {
  readonly olderThan?: string;
  readonly rules?: string;
  readonly host?: string;
  readonly owner?: string;
  readonly repo?: string;
  readonly bypassGovernance?: boolean;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
  readonly json?: boolean;
}

/** For so long GitHub lets a run be run again, which lists its jobs anew. */
const RERUNS_MS = 30 * 86_400_000;

export function registerExpire(program: Command, done: (exit: number) => void): void {
  program
    .command('expire')
    .description('remove jobs and runs that are past their rule, for good and with evidence')
    .option('--older-than <duration>', 'since the end of the job, such as 400d')
    .option('--rules <file>', 'YAML list of {host, owner, repo, keep}; the closest rule holds')
    .option('--host <host>', 'of this GitHub host alone')
    .option('--owner <owner>', 'repositories of this owner')
    .option('--repo <owner/repo>', 'this repository, also under its other names')
    .option('--bypass-governance', 'pass over GOVERNANCE locks, with the right to it')
    .option('--dry-run', 'count and print; remove nothing')
    .option('--yes', 'do not ask')
    .option('--json', 'one JSON document')
    .action(async (options: ExpireCommand) => done(await runExpire(options)));
}

async function runExpire(command: ExpireCommand): Promise<number> {
  const options = optionsOf(command, loadConfig({}));
  return withCustodyWork(async (work) => {
    const { archive, session } = work;
    const isDry = options.dryRun;
    const what =
      command.olderThan === undefined ? 'what is past its rule' : `what is older than ${command.olderThan}`;
    const question = `Remove ${what} from ${inertText(archive.location)} for good?`;
    if (!isDry && !(await confirmed(question, command.yes === true))) {
      await session.say('nothing was changed');
      return EXIT.failed;
    }
    const unused = (): never => {
      throw new Error('a dry run writes nothing');
    };
    const who = { name: '', known_by: 'os_user', authenticated: false } as const;
    const dry = { store: archive, who, version: '', now: () => new Date(), randomHex: unused };
    const deps = isDry ? dry : await work.recording();
    if (!isDry) await work.seal();
    const report = await expire(deps, options, { onProblem: session.noteProblem }, (looked, removed) =>
      session.progress.show(
        () => `${counted(looked, 'job')} looked at, ${counted(removed, 'object')} removed`,
      ),
    );
    session.progress.clear();
    const sealedBy = report.custody.length > 0 ? await work.seal() : null;
    await session.out.write(
      command.json === true
        ? `${JSON.stringify(expiryDocument(report, sealedBy, isDry))}\n`
        : expiryText(report, sealedBy, isDry),
    );
    const problems = await session.tellProblems();
    return problems + report.held + report.lockedCount > 0 ? EXIT.findings : EXIT.ok;
  });
}

/** @throws EverlogError `usage` or `config_invalid` that lists every problem */
function optionsOf(command: ExpireCommand, config: Pick<Config, 'logRetentionMs'>): ExpiryOptions {
  const { olderThan, rules: file, dryRun, yes: _yes, json: _json, ...given } = command;
  const problems: string[] = [];
  if ((olderThan === undefined) === (file === undefined))
    problems.push('give either --older-than or --rules');
  const host = command.host?.toLowerCase() ?? null;
  const [repoOwner, repoName, ...rest] = command.repo?.split('/') ?? [];
  const isRepo = repoOwner !== undefined && repoName !== undefined && rest.length === 0;
  if (command.repo !== undefined && !(isRepo && [repoOwner, repoName].every(isNameForKeys)))
    problems.push('--repo takes OWNER/REPO');
  if (command.owner !== undefined && !isNameForKeys(command.owner))
    problems.push('--owner takes the name of a user or organisation');
  const olderThanMs = olderThan === undefined ? null : parseDuration(olderThan);
  if (olderThan !== undefined && olderThanMs === null)
    problems.push('--older-than takes a duration such as 400d');
  if (problems.length > 0) throw giveUp('usage', `expire: ${problems.join('; ')}`);
  const rules =
    file === undefined
      ? [{ host: null, owner: null, repo: null, keepMs: olderThanMs, keep: olderThan ?? '' }]
      : loadExpiryRules(file);
  for (const { keepMs, keep } of rules) checkKept(keepMs, keep, config.logRetentionMs);
  return {
    rules,
    filters: {
      ...(command.owner === undefined ? {} : { owner: command.owner }),
      ...(isRepo ? { repo: { owner: repoOwner, repo: repoName } } : {}),
    },
    host,
    bypassGovernance: command.bypassGovernance === true,
    dryRun: dryRun === true,
    scope: { ...givenOptions({ ...given, olderThan }), ...scopeOfRules(file, rules) },
  };
}

/** What GitHub still lists is fetched again by the next comparison. */
function checkKept(keepMs: number | null, keep: string, logRetentionMs: number): void {
  const leastMs = logRetentionMs + RERUNS_MS;
  if (keepMs === null || keepMs >= leastMs) return;
  throw giveUp(
    'usage',
    `expire: ${keep} is too short: GitHub keeps logs for ${formatDuration(logRetentionMs)} (EVERLOG_GITHUB_LOG_RETENTION) and lets runs be run again for ${formatDuration(RERUNS_MS)}, so reconcile would fetch them again; keep at least ${Math.ceil(leastMs / 86_400_000)}d`,
  );
}

function scopeOfRules(
  file: string | undefined,
  rules: readonly { host: string | null; owner: string | null; repo: string | null; keep: string }[],
): Record<string, string> {
  if (file === undefined) return {};
  const text = rules.map(
    ({ host, owner, repo, keep }) => `${host ?? '*'}/${owner ?? '*'}/${repo ?? '*'} ${keep}`,
  );
  return { rules: text.join('; ') };
}

function expiryDocument(report: ExpiryReport, sealedBy: number | null, isDry: boolean): object {
  const { jobs, runs, objects, held, lockedCount, locked, custody } = report;
  return {
    dry_run: isDry,
    sealed_by: sealedBy,
    jobs,
    runs,
    objects,
    held,
    locked: lockedCount,
    locked_objects: locked.map(lockedDocument),
    custody,
  };
}

function expiryText(report: ExpiryReport, sealedBy: number | null, isDry: boolean): string {
  const { jobs, runs, objects, held, lockedCount, locked, custody } = report;
  const verb = isDry ? 'would remove' : 'removed';
  const lines = [
    `${verb} ${counted(jobs, 'job')} and ${counted(runs, 'run object')} (${counted(objects, 'object')})`,
  ];
  if (held > 0)
    lines.push(`${formatCount(held)} past their rule stay, as a case holds them: everlog hold ls`);
  if (lockedCount > 0) lines.push(`${formatCount(lockedCount)} past their rule stay, as a lock forbids it:`);
  for (const one of locked) lines.push(`  ${lockedLine(one)}`);
  if (custody.length > 0) lines.push(`as ${counted(custody.length, 'custody object')} will tell`);
  const end = custody.length > 0 ? sealedByText(sealedBy) : '';
  return lines.map((line) => `${line}\n`).join('') + end;
}
