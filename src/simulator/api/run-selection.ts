import type { SimulatedRun, AttemptFacts } from '../facts.ts';

/** GitHub gives no more than this many runs of a filtered list, whatever the page. */
const FILTERED_RUNS_LIMIT = 1_000;
const FILTERS = ['actor', 'branch', 'check_suite_id', 'created', 'event', 'head_sha', 'status'];
const DAY_MS = 86_400_000;

interface CreatedRange {
  fromMs: number;
  toMs: number;
}

/** A date covers its whole day, an instant its whole second. */
function span(text: string): CreatedRange | null {
  const fromMs = Date.parse(text);
  if (Number.isNaN(fromMs)) return null;
  return { fromMs, toMs: fromMs + (text.length === 10 ? DAY_MS : 1_000) - 1 };
}

function parseCreated(text: string): CreatedRange | null {
  const everFrom = Number.NEGATIVE_INFINITY;
  const everTo = Number.POSITIVE_INFINITY;
  const [first, second] = text.split('..');
  if (first !== undefined && second !== undefined) {
    const from = first === '*' ? { fromMs: everFrom } : span(first);
    const to = second === '*' ? { toMs: everTo } : span(second);
    return from === null || to === null ? null : { fromMs: from.fromMs, toMs: to.toMs };
  }
  const operator = /^[<>]=?/.exec(text)?.[0] ?? '';
  const at = span(text.slice(operator.length));
  if (at === null) return null;
  switch (operator) {
    case '>=':
      return { fromMs: at.fromMs, toMs: everTo };
    case '>':
      return { fromMs: at.toMs + 1, toMs: everTo };
    case '<=':
      return { fromMs: everFrom, toMs: at.toMs };
    case '<':
      return { fromMs: everFrom, toMs: at.fromMs - 1 };
    default:
      return at;
  }
}

function current(run: SimulatedRun): AttemptFacts {
  const facts = run.attempts.at(-1);
  if (facts === undefined) throw new Error('A run without an attempt');
  return facts;
}

/**
 * The runs that a query's filters leave, newest first; null for a `created` that cannot be read.
 * `total` counts them all, `reachable` stops at GitHub's 1,000 when there is any filter.
 */
export function selectRuns(
  runs: readonly SimulatedRun[],
  query: URLSearchParams,
): { total: number; reachable: SimulatedRun[] } | null {
  const created = query.get('created');
  const range = created === null ? null : parseCreated(created);
  if (created !== null && range === null) return null;
  const asks = (name: string, ...values: (string | null)[]) => {
    const wanted = query.get(name);
    return wanted === null || values.includes(wanted);
  };
  const matching = runs.filter((run) => {
    const facts = current(run);
    const createdMs = Date.parse(facts.created_at);
    return (
      (range === null || (createdMs >= range.fromMs && createdMs <= range.toMs)) &&
      asks('status', facts.status, facts.conclusion) &&
      asks('event', facts.event) &&
      asks('branch', facts.head_branch) &&
      asks('head_sha', facts.head_sha)
    );
  });
  matching.sort(
    (a, b) => current(b).created_at.localeCompare(current(a).created_at) || current(b).id - current(a).id,
  );
  const filtered = FILTERS.some((name) => query.has(name));
  return { total: matching.length, reachable: filtered ? matching.slice(0, FILTERED_RUNS_LIMIT) : matching };
}
