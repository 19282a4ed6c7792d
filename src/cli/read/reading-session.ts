import type { JobIndex } from '../../index/job-index.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { formatCount } from '../terminal/format.ts';
import { inertText } from '../../log/terminal-sanitiser.ts';
import { openOutput, openProgress } from '../terminal/terminal.ts';
import type { Output, OutputStream, Progress, Terminal } from '../terminal/terminal.ts';

/** What a reading command works with. */
export interface ReadingDeps {
  readonly store: ObjectStore;
  /** Opens the query index; null, or missing, where there is none: then the records are read. */
  readonly openIndex?: (onProblem: (key: string, problem: string) => void) => Promise<JobIndex | null>;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  /** Where progress is shown; standard error unless that goes elsewhere. */
  readonly progress?: OutputStream;
  readonly now: () => Date;
  /** Where people reach the web page; null, or missing, where it is not configured. */
  readonly webUrl?: string | null;
  readonly terminal: Terminal;
}

/** The outputs of one reading command, and the account of what could not be read. */
export interface ReadingSession {
  readonly out: Output;
  /** One line on standard error; progress makes way for it. */
  readonly say: (line: string) => Promise<void>;
  readonly progress: Progress;
  /** Takes note of a record that cannot be read; the first are named by `tellProblems`. */
  readonly noteProblem: (key: string, problem: string) => void;
  /** Takes note of what is odd about a record that is read all the same. */
  readonly noteOddity: (key: string, oddity: string) => void;
  /** Names the records that could not be read, and the odd ones; returns how many could not be read. */
  readonly tellProblems: () => Promise<number>;
}

/** Named on standard error one by one; more are only counted. */
const PROBLEMS_NAMED_MAX = 20;

/** Runs a command's body with its outputs open. */
export async function withReadingSession(
  deps: ReadingDeps,
  body: (session: ReadingSession) => Promise<number>,
): Promise<number> {
  const out = openOutput(deps.stdout);
  const errors = openOutput(deps.stderr);
  const progress = openProgress(deps.progress ?? deps.stderr, deps.terminal, deps.now);
  const named: string[] = [];
  let problems = 0;
  const oddities: string[] = [];
  let oddOnes = 0;
  const say = async (line: string): Promise<void> => {
    progress.clear();
    await errors.write(`${line}\n`);
  };
  const session: ReadingSession = {
    out,
    say,
    progress,
    noteProblem(key, problem) {
      problems += 1;
      if (named.length < PROBLEMS_NAMED_MAX) named.push(`${inertText(key)}: ${inertText(problem)}`);
    },
    noteOddity(key, oddity) {
      oddOnes += 1;
      if (oddities.length < PROBLEMS_NAMED_MAX) oddities.push(`${inertText(key)} ${inertText(oddity)}`);
    },
    async tellProblems() {
      for (const line of oddities) await say(`everlog: note: ${line}`);
      if (oddOnes > oddities.length)
        await say(`everlog: note: … and ${formatCount(oddOnes - oddities.length)} more`);
      for (const line of named) await say(`everlog: cannot read ${line}`);
      if (problems > named.length)
        await say(`everlog: … and ${formatCount(problems - named.length)} more records`);
      return problems;
    },
  };
  try {
    return await body(session);
  } finally {
    progress.clear();
    out.close();
    errors.close();
  }
}
