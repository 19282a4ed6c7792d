import type { Command } from 'commander';
import { addHold, releaseHold, type HoldReport } from '../../archive/custody/hold-jobs.ts';
import { readHolds, type HeldCase } from '../../archive/custody/holds.ts';
import { loadConfig } from '../../config.ts';
import { giveUp } from '../../errors.ts';
import { givenOptions, withCustodyWork } from './custody-work.ts';
import { EXIT } from '../exit.ts';
import { counted, formatCount, formatMoment } from '../terminal/format.ts';
import { inertText } from '../../log/terminal-sanitiser.ts';
import { addFilterOptions, type FilterOptions } from '../read/filter-options.ts';
import { filtersOf } from '../read/ls.ts';
import type { ArchiveOption } from '../read/with-archive.ts';
import { requireQueue } from '../queue-work.ts';
import { standardTerminal } from '../terminal/standard-terminal.ts';
import { formatTable } from '../terminal/table.ts';

/** `everlog hold add|ls|rm`: legal holds by case. */

interface HoldOptions extends FilterOptions {
  readonly case: string;
  readonly reason?: string;
  readonly all?: boolean;
  readonly json?: boolean;
}

/** A case's name stands in custody objects and tables; longer ones are texts, which belong into `--reason`. */
const CASE_CHARACTERS_MAX = 200;

export function registerHold(program: Command, done: (exit: number) => void): void {
  const hold = program.command('hold').description('legal holds by case');
  addFilterOptions(
    hold
      .command('add')
      .description('hold the records and logs of the matching jobs')
      .argument('[url|id]', 'a GitHub address, pasted, or the id of a job or run'),
  )
    .requiredOption('--case <id>', 'the case')
    .option('--reason <text>', 'why, for the custody object')
    .option('--all', 'every job of the archive')
    .option('--json', 'one JSON document')
    .action(async (address: string | undefined, options: HoldOptions) =>
      done(await change('add', options, address)),
    );
  hold
    .command('ls')
    .description('cases that hold something, with who and when')
    .option('--archive <url>', 'another archive than EVERLOG_ARCHIVE_URL')
    .option('--json', 'NDJSON')
    .action(async (options: ArchiveOption & { json?: boolean }) => done(await listHolds(options)));
  addFilterOptions(
    hold
      .command('rm')
      .description('release what the case holds, or the matching jobs of it')
      .argument('[url|id]', 'a GitHub address, pasted, or the id of a job or run'),
  )
    .requiredOption('--case <id>', 'the case')
    .option('--reason <text>', 'why, for the custody object')
    .option('--json', 'one JSON document')
    .action(async (address: string | undefined, options: HoldOptions) =>
      done(await change('rm', options, address)),
    );
}

async function change(verb: 'add' | 'rm', options: HoldOptions, address?: string): Promise<number> {
  const { case: name, reason, all, json, ...filters } = options;
  const given = { ...filters, ...(address === undefined ? {} : { address }) };
  const parsed = filtersOf(filters, address, new Date());
  const problems = [...(parsed.ok ? [] : parsed.problems), ...holdProblems(verb, options, given)];
  if (!parsed.ok || problems.length > 0) throw giveUp('usage', `hold ${verb}: ${problems.join('; ')}`);
  requireQueue(loadConfig({}));
  return withCustodyWork(async ({ session, recording }) => {
    const deps = await recording();
    let keys = 0;
    const hooks = {
      onProblem: session.noteProblem,
      onKey: () => session.progress.show(() => `${formatCount((keys += 1))} records looked at`),
    };
    const order = {
      case: name,
      reason: reason ?? null,
      filters: parsed.filters,
      scope: givenOptions({ ...given, all }),
    };
    const report = await (verb === 'add' ? addHold : releaseHold)(deps, order, hooks);
    session.progress.clear();
    await session.out.write(
      json === true ? `${JSON.stringify(holdDocument(report))}\n` : holdText(verb, report),
    );
    if ((await session.tellProblems()) > 0) return EXIT.findings;
    return report.jobs + report.unchanged === 0 ? EXIT.notFound : EXIT.ok;
  });
}

function holdProblems(verb: 'add' | 'rm', options: HoldOptions, given: object): string[] {
  const { case: name, all } = options;
  const isNamed = name.trim() !== '' && name.length <= CASE_CHARACTERS_MAX && !/\p{C}/u.test(name);
  const isWide = verb === 'add' && Object.keys(given).length === 0 && all !== true;
  return [
    ...(isNamed ? [] : [`--case takes a name of 1 to ${CASE_CHARACTERS_MAX} printable characters`]),
    ...(isWide ? ['give filters, or --all to hold every job of the archive'] : []),
    ...(all === true && Object.keys(given).length > 0 ? ['--all goes without filters'] : []),
  ];
}

function holdDocument(report: HoldReport): object {
  const { case: name, jobs, objects, unchanged, locks, custody } = report;
  return { case: name, jobs, objects, unchanged, locks, custody };
}

function holdText(verb: 'add' | 'rm', report: HoldReport): string {
  const { jobs, objects, unchanged, locks } = report;
  const name = inertText(report.case);
  const counts = `${counted(jobs, 'job')} (${counted(objects, 'object')})`;
  const lines =
    verb === 'add' ? [`case ${name} holds ${counts} more`] : [`case ${name} has released ${counts}`];
  if (jobs + unchanged === 0)
    lines.push(verb === 'add' ? 'no job matches' : 'it holds no job that matches: everlog hold ls');
  if (unchanged > 0) {
    const count = formatCount(unchanged);
    lines.push(verb === 'add' ? `${count} it held already` : `${count} of them stay held by another case`);
  }
  if (locks === 'none' && verb === 'add') {
    lines.push('this archive has no locks: purge and expire heed the hold, other programs do not');
  }
  return lines.map((line) => `${line}\n`).join('');
}

async function listHolds(options: ArchiveOption & { json?: boolean }): Promise<number> {
  return withCustodyWork(async ({ archive, session }) => {
    const { cases } = await readHolds(archive, session.noteProblem);
    if (options.json === true) {
      for (const [name, held] of cases) {
        await session.out.write(`${JSON.stringify(caseDocument(name, held))}\n`);
      }
    } else if (cases.size === 0) await session.say('no case holds anything');
    else await session.out.write(tableOf(cases));
    return (await session.tellProblems()) > 0 ? EXIT.findings : EXIT.ok;
  }, options);
}

function caseDocument(name: string, held: HeldCase): object {
  const { jobs, by, authenticated, since, changedAt, reason } = held;
  return { case: name, jobs, by, authenticated, since, changed_at: changedAt, reason };
}

function tableOf(cases: ReadonlyMap<string, HeldCase>): string {
  return formatTable(
    [
      { title: 'CASE', shrinkTo: 10 },
      { title: 'JOBS', align: 'right' },
      { title: 'SINCE' },
      { title: 'CHANGED' },
      { title: 'BY', shrinkTo: 8 },
      { title: 'REASON', shrinkTo: 10, dropOrder: 1 },
    ],
    [...cases].map(([name, held]) => [
      { text: name },
      { text: formatCount(held.jobs) },
      { text: formatMoment(held.since) },
      { text: formatMoment(held.changedAt) },
      { text: held.authenticated ? held.by : `${held.by} (not authenticated)` },
      { text: held.reason ?? '' },
    ]),
    standardTerminal(),
  );
}
