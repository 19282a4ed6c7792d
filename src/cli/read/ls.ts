import type { StoredRecord } from '../../archive/find-records.ts';
import { SCAN_LIMIT, scanRecords } from '../../archive/scan-records.ts';
import type { RecordFilters } from '../../archive/scan-records.ts';
import { EXIT } from '../exit.ts';
import { formatCount } from '../terminal/format.ts';
import { inertJson, inertText } from '../../log/inert.ts';
import { formatJobTable, jobRow } from '../terminal/job-table.ts';
import type { JobRow } from '../terminal/job-table.ts';
import { withReadingSession } from './reading-session.ts';
import type { ReadingDeps, ReadingSession } from './reading-session.ts';
import { parseFilters } from './record-filters.ts';
import type { FilterOptions } from './record-filters.ts';

export interface LsOptions extends FilterOptions {
  /** How many, 50 by default. */
  readonly limit?: string | undefined;
  readonly json?: boolean | undefined;
}

/** More are not a list for people any more, and their keys would cost memory. */
const LIMIT_MAX = 100_000;

/**
 * `everlog ls`: recorded jobs, newest first, as a table or as NDJSON of whole records as they are stored.
 * Answers 0; 2 for bad options; 4 when some records could not be read, which are named on standard error.
 * @throws EverlogError where the archive does not answer.
 */
export async function runLs(deps: ReadingDeps, options: LsOptions): Promise<number> {
  return withReadingSession(deps, async (session) => {
    const parsed = parseFilters(options, deps.now());
    const limit = parseLimit(options.limit);
    const problems = [
      ...(parsed.ok ? [] : parsed.problems),
      ...(limit === null ? [`--limit takes a number from 1 to ${formatCount(LIMIT_MAX)}`] : []),
    ];
    if (!parsed.ok || limit === null) {
      for (const problem of problems) await session.say(`everlog ls: ${problem}`);
      return EXIT.usage;
    }

    let records = 0;
    const found = scanRecords(deps.store, parsed.filters, {
      limit,
      onProblem: session.noteProblem,
      onRecord() {
        records += 1;
        session.progress.show(() => `${formatCount(records)} records read`);
      },
    });
    const shown =
      options.json === true ? await printJson(deps, session, found) : await printTable(deps, session, found);
    if (shown === null) return EXIT.ok;
    if (shown === 0) await session.say(emptiness(deps, parsed.filters, records));
    else if (shown === limit && deps.terminal.isTTY && options.json !== true) {
      await session.say(`The newest ${formatCount(limit)}; --limit shows more.`);
    }
    return (await session.tellProblems()) > 0 ? EXIT.findings : EXIT.ok;
  });
}

function parseLimit(text: string | undefined): number | null {
  if (text === undefined) return SCAN_LIMIT;
  const limit = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  return limit >= 1 && limit <= LIMIT_MAX ? limit : null;
}

/** Answers how many were printed; null when the reader has gone away. */
async function printTable(
  deps: ReadingDeps,
  session: ReadingSession,
  found: AsyncIterable<StoredRecord>,
): Promise<number | null> {
  const rows: JobRow[] = [];
  for await (const { record } of found) rows.push(jobRow(record));
  session.progress.clear();
  const text = rows.length === 0 ? '' : formatJobTable(rows, deps.terminal, deps.now());
  return (await session.out.write(text)) ? rows.length : null;
}

async function printJson(
  deps: ReadingDeps,
  session: ReadingSession,
  found: AsyncIterable<StoredRecord>,
): Promise<number | null> {
  let printed = 0;
  for await (const { bytes } of found) {
    session.progress.clear();
    if (!(await session.out.write(asLine(bytes, deps.terminal.isTTY)))) return null;
    printed += 1;
  }
  return printed;
}

/** A record's bytes as one line. Everlog writes it as one; line ends between the members of another's become spaces. */
function asLine(bytes: Buffer, isTTY: boolean): string {
  const line = bytes
    .toString('utf8')
    .trimEnd()
    .replaceAll(/[\r\n]/g, ' ');
  return `${isTTY ? inertJson(line) : line}\n`;
}

function emptiness(deps: ReadingDeps, filters: RecordFilters, records: number): string {
  if (records > 0) return `No recorded job matches; ${formatCount(records)} looked at.`;
  if (Object.keys(filters).length > 0) return 'No recorded job matches.';
  return `No job is recorded yet in ${inertText(deps.store.location)}.`;
}
