import type { StoredRecord } from '../../archive/find/find-records.ts';
import { recordedRepositories } from '../../archive/find/list-repositories.ts';
import type { RecordFilters } from '../../archive/find/record-filters.ts';
import type { JobRecord } from '../../archive/record.ts';
import { SCAN_LIMIT } from '../../archive/find/scan-records.ts';
import { probablyMeant, SeenValues, type UnknownValue } from '../../archive/find/seen-values.ts';
import { JsonText } from '../../json-text.ts';
import { EXIT } from '../exit.ts';
import { counted, formatCount } from '../terminal/format.ts';
import { inertText } from '../../log/terminal-sanitiser.ts';
import { formatJobTable } from '../terminal/job-table.ts';
import { LOOKED_UP_MAX, tellUncovered } from './coverage.ts';
import { chosenFields, fieldsOf } from './json-fields.ts';
import { openFinder, readingHooks } from './find-jobs.ts';
import { withReadingSession } from './reading-session.ts';
import type { ReadingDeps, ReadingSession } from './reading-session.ts';
import { parseFilters, withAddress, type FilterOptions, type ParsedFilters } from './filter-options.ts';

export interface LsOptions extends FilterOptions {
  /** How many, 50 by default. */
  readonly limit?: string | undefined;
  /** True for whole records; else the names of members, with commas between. */
  readonly json?: boolean | string | undefined;
  readonly explain?: boolean | undefined;
}

/** More are not a list for people any more, and their keys would cost memory. */
const LIMIT_MAX = 100_000;
/** Repositories told when the one asked for has no jobs. */
const REPOSITORIES_TOLD_MAX = 12;
/** Repositories looked through for one that was meant. */
const REPOSITORIES_MAX = 2_000;

/**
 * `everlog ls`: recorded jobs, newest first, as a table or as NDJSON of whole records as they are stored. `address` stands for
 * filters: of a job, a run, a commit, a pull request or a repository. A filter whose value no job has is told with those that
 * exist.
 * Returns 0; 2 for bad options; 4 when some records could not be read, which are named on standard error.
 * @throws EverlogError where the archive does not answer.
 */
export async function runLs(deps: ReadingDeps, options: LsOptions, address?: string): Promise<number> {
  return withReadingSession(deps, async (session) => {
    const parsed = filtersOf(options, address, deps.now());
    const limit = parseLimit(options.limit, SCAN_LIMIT);
    const fields = fieldsOf(options.json);
    const problems = [
      ...(parsed.ok ? [] : parsed.problems),
      ...(limit === null ? [`--limit takes a number from 1 to ${formatCount(LIMIT_MAX)}`] : []),
      ...(fields === 'bad'
        ? ['--json takes names of members with commas between, such as job_id,job_name']
        : []),
    ];
    if (!parsed.ok || limit === null || fields === 'bad') {
      for (const problem of problems) await session.say(`everlog ls: ${problem}`);
      return EXIT.usage;
    }

    const seen = new SeenValues(parsed.filters);
    const finder = await openFinder(deps, session);
    const found = finder.find(parsed.filters, {
      ...readingHooks(session, seen),
      limit,
    });
    const kept: StoredRecord[] = [];
    const noted = keeping(found, kept);
    const shown =
      options.json === undefined || options.json === false
        ? await printTable(deps, session, noted)
        : await printJson(deps, session, noted, fields);
    if (shown === null) return EXIT.ok;
    session.progress.clear();
    if (shown === 0) {
      const all = finder.isIndexed ? await finder.see(parsed.filters, seen) : seen.jobs;
      await tellEmptiness(deps, session, parsed.filters, {
        looked: all ?? 0,
        unknown: all === null ? [] : seen.unknown(),
      });
    } else if (shown === limit && deps.terminal.isTTY && options.json === undefined) {
      await session.say(`The newest ${formatCount(limit)}; --limit shows more.`);
    }
    if (options.explain === true || (shown === 0 && finder.isIndexed)) await finder.explain(session);
    await tellUncovered(deps.store, session, kept, shown - kept.length);
    return (await session.tellProblems()) > 0 ? EXIT.findings : EXIT.ok;
  });
}

/** Passes records on and keeps the first of them. */
async function* keeping(
  found: AsyncIterable<StoredRecord>,
  kept: StoredRecord[],
): AsyncGenerator<StoredRecord> {
  for await (const stored of found) {
    if (kept.length < LOOKED_UP_MAX) kept.push(stored);
    yield stored;
  }
}

/** The filters of the options and of a pasted address together. */
export function filtersOf(options: FilterOptions, address: string | undefined, now: Date): ParsedFilters {
  const parsed = parseFilters(options, now);
  if (!parsed.ok || address === undefined) return parsed;
  return withAddress(parsed.filters, address);
}

/** A `--limit`; null for what is no number of jobs. */
export function parseLimit(text: string | undefined, usual: number): number | null {
  if (text === undefined) return usual;
  const limit = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  return limit >= 1 && limit <= LIMIT_MAX ? limit : null;
}

/** Returns how many were printed; null when the reader has gone away. */
async function printTable(
  deps: ReadingDeps,
  session: ReadingSession,
  found: AsyncIterable<StoredRecord>,
): Promise<number | null> {
  const records: JobRecord[] = [];
  for await (const { record } of found) records.push(record);
  session.progress.clear();
  const text = records.length === 0 ? '' : formatJobTable(records, deps.terminal, deps.now());
  return (await session.out.write(text)) ? records.length : null;
}

async function printJson(
  deps: ReadingDeps,
  session: ReadingSession,
  found: AsyncIterable<StoredRecord>,
  fields: readonly string[] | null,
): Promise<number | null> {
  let printed = 0;
  for await (const stored of found) {
    session.progress.clear();
    const line = jsonLineOf(stored, fields);
    if (!(await session.out.write(deps.terminal.isTTY ? `${line}\n` : Buffer.from(`${line}\n`)))) return null;
    printed += 1;
  }
  return printed;
}

/**
 * A record as it is stored, or members of it, on one line: line ends that GitHub or another writer left between members become
 * spaces. `flaws` is added where a revision is not as it should be.
 */
function jsonLineOf({ bytes, flaws }: StoredRecord, fields: readonly string[] | null): string {
  const stored = bytes.toString('utf8').trim();
  const told = JSON.stringify(flaws.map(({ key, problem }) => ({ key, problem })));
  const whole = flaws.length === 0 ? stored : `${stored.slice(0, -1)},"flaws":${told}}`;
  const document = fields === null ? null : JsonText.read(whole);
  const line = fields === null || document === null ? whole : chosenFields(document.json, fields);
  return line.replaceAll(/[\r\n]/g, ' ');
}

/** Says why nothing was found: which value no job has, which repositories there are, or that there is no job at all. */
export async function tellEmptiness(
  deps: ReadingDeps,
  session: ReadingSession,
  filters: RecordFilters,
  { looked, unknown }: { readonly looked: number; readonly unknown: readonly UnknownValue[] },
): Promise<void> {
  if (Object.keys(filters).length === 0 && looked === 0) {
    return session.say(`No job is recorded yet in ${inertText(deps.store.location)}.`);
  }
  await session.say(
    looked > 0 ? `No recorded job matches; ${formatCount(looked)} looked at.` : 'No recorded job matches.',
  );
  for (const { filter, wanted, existing, meant } of unknown) {
    const values = existing.map(({ value, jobs }) => `${inertText(value)} (${formatCount(jobs)})`).join(', ');
    const hint = meant === null ? '' : ` Did you mean ${inertText(meant)}?`;
    await session.say(
      `No job has the ${filter} ${inertText(wanted)}.${hint} There ${existing.length === 1 ? 'is' : 'are'}: ${values}`,
    );
  }
  if (looked === 0 && (filters.repo !== undefined || filters.owner !== undefined)) {
    await tellRepositories(deps, session, filters);
  }
}

async function tellRepositories(
  deps: ReadingDeps,
  session: ReadingSession,
  filters: RecordFilters,
): Promise<void> {
  const names: string[] = [];
  for await (const { owner, repo } of recordedRepositories(deps.store)) {
    names.push(`${owner}/${repo}`);
    if (names.length >= REPOSITORIES_MAX) break;
  }
  if (names.length === 0) return session.say(`No job is recorded yet in ${inertText(deps.store.location)}.`);
  const { repo, owner } = filters;
  const wanted = repo === undefined ? (owner ?? '') : `${repo.owner}/${repo.repo}`;
  const candidates = repo === undefined ? names.map((name) => name.split('/')[0] ?? '') : names;
  const isThere = candidates.includes(wanted.toLowerCase());
  const meant = isThere ? null : probablyMeant(wanted, candidates);
  const hint = meant === null ? '' : ` Did you mean ${inertText(meant)}?`;
  const told = [...new Set(candidates)];
  const rest = told.length - REPOSITORIES_TOLD_MAX;
  await session.say(
    `No job of ${inertText(wanted)} is recorded.${hint} There ${told.length === 1 ? 'is' : 'are'}: ${told.slice(0, REPOSITORIES_TOLD_MAX).map(inertText).join(', ')}${rest > 0 ? `, and ${counted(rest, 'more', 'more')}` : ''}`,
  );
}
