import type { JobRecord } from '../record.ts';
import type { RecordFilters } from './record-filters.ts';

/** What jobs have where a filter asked for something that none has. */
export interface UnknownValue {
  /** The filter's name, as in `--branch`. */
  readonly filter: string;
  readonly wanted: string;
  /** The most frequent ones first. */
  readonly existing: readonly { readonly value: string; readonly jobs: number }[];
  /** The one that was probably meant. */
  readonly meant: string | null;
}

type Field = 'branch' | 'workflow' | 'job' | 'actor' | 'conclusion' | 'outcome' | 'attempt';

/** What is looked at of a job. */
export type SeenJob = Pick<
  JobRecord,
  'head_branch' | 'workflow_name' | 'job_name' | 'sender' | 'conclusion' | 'outcome' | 'run_attempt'
>;

const FIELDS: Readonly<Record<Field, (record: SeenJob) => string | null>> = {
  branch: (record) => record.head_branch,
  workflow: (record) => record.workflow_name,
  job: (record) => record.job_name,
  actor: (record) => record.sender,
  conclusion: (record) => record.conclusion,
  outcome: (record) => record.outcome,
  attempt: (record) => String(record.run_attempt ?? 1),
};
/** Different values kept of one field; an archive may have more branches than anybody wants to read. */
const VALUES_MAX = 10_000;
/** Values told. */
const TOLD_MAX = 12;
/** What people write for a conclusion of GitHub's. */
const ALIASES: ReadonlyMap<string, string> = new Map([
  ['fail', 'failure'],
  ['failed', 'failure'],
  ['error', 'failure'],
  ['ok', 'success'],
  ['succeeded', 'success'],
  ['passed', 'success'],
  ['canceled', 'cancelled'],
  ['timeout', 'timed_out'],
]);

/** Counts the values that jobs have, so that a filter which none of them passes can be told with those that exist. */
export class SeenValues {
  readonly #counts = new Map<Field, Map<string, number>>();
  readonly #asked: readonly (readonly [Field, string])[];
  #jobs = 0;

  constructor(filters: RecordFilters) {
    this.#asked = Object.entries(filters).flatMap(([name, value]) => {
      const field = fieldOf(name);
      return field === null || value === undefined ? [] : [[field, String(value)] as const];
    });
    for (const [field] of this.#asked) this.#counts.set(field, new Map());
  }

  /** Jobs that were looked at. */
  get jobs(): number {
    return this.#jobs;
  }

  /** Takes note of a job that was looked at. */
  see(record: SeenJob): void {
    this.#jobs += 1;
    for (const [field, counts] of this.#counts) {
      const value = FIELDS[field](record);
      if (value === null || (!counts.has(value) && counts.size >= VALUES_MAX)) continue;
      counts.set(value, (counts.get(value) ?? 0) + 1);
    }
  }

  /** The filters whose value no job seen has. */
  unknown(): readonly UnknownValue[] {
    return this.#asked.flatMap(([filter, wanted]) => {
      const counts = this.#counts.get(filter) ?? new Map<string, number>();
      const isKnown = [...counts.keys()].some((value) => isValueMeant(filter, value, wanted));
      if (isKnown || counts.size === 0) return [];
      const existing = [...counts]
        .map(([value, jobs]) => ({ value, jobs }))
        .sort((a, b) => b.jobs - a.jobs || (a.value < b.value ? -1 : 1));
      const meant = probablyMeant(
        wanted,
        existing.map(({ value }) => value),
      );
      return [{ filter, wanted, existing: existing.slice(0, TOLD_MAX), meant }];
    });
  }
}

function fieldOf(name: string): Field | null {
  return name in FIELDS
    ? (Object.keys(FIELDS).find((field): field is Field => field === name) ?? null)
    : null;
}

function isValueMeant(filter: Field, value: string, wanted: string): boolean {
  if (filter === 'actor') return value.toLowerCase() === wanted.toLowerCase();
  if (filter === 'workflow' && /\.ya?ml$/.test(wanted)) return true;
  return value === wanted || (filter === 'job' && value.startsWith(`${wanted} `));
}

/** The value that was probably meant: in other letters, in other words, by its start, or by one slip of the finger. */
export function probablyMeant(wanted: string, values: readonly string[]): string | null {
  const word = wanted.toLowerCase().replace(/^refs\/(heads|tags)\//, '');
  const alias = ALIASES.get(word);
  const tests: readonly ((value: string) => boolean)[] = [
    (value) => value === word || value === alias,
    (value) => value.startsWith(word),
    (value) => isOneSlipAway(value, word),
    (value) => word.length > 2 && value.includes(word),
  ];
  for (const isIt of tests) {
    const found = values.find((value) => isIt(value.toLowerCase()));
    if (found !== undefined) return found;
  }
  return null;
}

/** One character more, less or other, or two neighbours in turn. */
function isOneSlipAway(a: string, b: string): boolean {
  if (Math.abs(a.length - b.length) > 1 || Math.min(a.length, b.length) < 3) return false;
  let start = 0;
  while (start < a.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < Math.min(a.length, b.length) - start && a.at(-1 - end) === b.at(-1 - end)) end += 1;
  const [restA, restB] = [a.slice(start, a.length - end), b.slice(start, b.length - end)];
  if (restA.length <= 1 && restB.length <= 1) return true;
  return restA.length === 2 && restB.length === 2 && restA[0] === restB[1] && restA[1] === restB[0];
}
