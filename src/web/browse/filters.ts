import { isNameForKeys } from '../../archive/keys.ts';
import { OUTCOMES } from '../../archive/record.ts';
import type { RecordFilters } from '../../archive/find/record-filters.ts';
import { html, typed, type Html } from '../html.ts';
import { numberIn, QUERY_CHARACTERS_MAX } from '../requests.ts';

const DAY_MS = 24 * 60 * 60_000;

/** Text filters of `ls`, under the same names. */
const TEXTS = ['branch', 'job', 'workflow', 'event', 'actor', 'conclusion'] as const;
/** What the form of a list page asks for, and how it calls it. */
const FIELDS: readonly (readonly [string, string])[] = [
  ['branch', 'Branch'],
  ['workflow', 'Workflow'],
  ['job', 'Job'],
  ['conclusion', 'Conclusion'],
  ['actor', 'Actor'],
  ['event', 'Event'],
  ['since', 'Since'],
  ['until', 'Until'],
];

export type ParsedQuery =
  { readonly ok: true; readonly filters: RecordFilters } | { readonly ok: false; readonly problem: string };

/** The filters of `ls` in an address's query, under the same names; days are UTC, and `until` is included. */
export function filtersIn(query: (name: string) => string | undefined): ParsedQuery {
  const given = (name: string): string | undefined =>
    query(name)?.trim().slice(0, QUERY_CHARACTERS_MAX) || undefined;
  const problem = (name: string, takes: string): ParsedQuery => ({
    ok: false,
    problem: `${name} takes ${takes}`,
  });
  const filters: Record<string, unknown> = {};
  for (const name of TEXTS) if (given(name) !== undefined) filters[name] = given(name);
  const { branch } = filters;
  if (typeof branch === 'string') filters['branch'] = branch.replace(/^refs\/heads\//, '');
  const owner = given('owner');
  if (owner !== undefined && !isNameForKeys(owner))
    return problem('owner', 'the name of a user or organisation');
  if (owner !== undefined) filters['owner'] = owner;
  const sha = given('sha')?.toLowerCase();
  if (sha !== undefined && !/^[0-9a-f]{4,64}$/.test(sha))
    return problem('sha', 'at least four characters of a commit');
  if (sha !== undefined) filters['shaPrefix'] = sha;
  const outcome = given('outcome');
  if (outcome !== undefined && !OUTCOMES.some((known) => known === outcome))
    return problem('outcome', `one of ${OUTCOMES.join(', ')}`);
  if (outcome !== undefined) filters['outcome'] = outcome;
  for (const [name, filter] of [
    ['pr', 'pullRequest'],
    ['run', 'runId'],
    ['attempt', 'attempt'],
  ] as const) {
    const text = given(name);
    const number = numberIn(text);
    if (text !== undefined && number === null) return problem(name, 'a number');
    if (number !== null) filters[filter] = number;
  }
  for (const name of ['since', 'until'] as const) {
    const text = given(name);
    const moment = text === undefined ? null : momentIn(text, name);
    if (text !== undefined && moment === null) return problem(name, 'a day such as 2026-11-20, or RFC 3339');
    if (moment !== null) filters[name] = moment;
  }
  if (query('failed') === '1') filters['failed'] = true;
  return { ok: true, filters };
}

function momentIn(text: string, end: 'since' | 'until'): Date | null {
  const isDay = /^\d{4}-\d{2}-\d{2}$/.test(text);
  if (!isDay && !/^\d{4}-\d{2}-\d{2}T[\d:.]+(?:Z|[+-]\d{2}:\d{2})$/.test(text)) return null;
  const ms = Date.parse(isDay ? `${text}T00:00:00Z` : text) + (isDay && end === 'until' ? DAY_MS - 1 : 0);
  return Number.isNaN(ms) ? null : new Date(ms);
}

/** A form of the filters, folded away until it is wanted or in use. */
export function filterForm(action: string, query: (name: string) => string | undefined): Html {
  const inUse = FIELDS.some(([name]) => (query(name) ?? '') !== '');
  const failed = query('failed') === '1';
  const hidden = ['owner', 'sha', 'outcome'].filter((name) => (query(name) ?? '') !== '');
  return html`<details class="filters" ${inUse ? html`open` : ''}>
    <summary>Filter</summary>
    <form action="${action}" method="get">
      ${FIELDS.map(
        ([name, title]) =>
          html`<label
            >${title}<input
              name="${name}"
              value="${typed(query(name) ?? '')}"
              maxlength="500"
              autocomplete="off"
              ${name === 'since' || name === 'until' ? html`placeholder="2026-11-20"` : ''}
          /></label>`,
      )}
      <label class="check"
        ><input type="checkbox" name="failed" value="1" ${failed ? html`checked` : ''} /> Failed only</label
      >
      ${hidden.map((name) => html`<input type="hidden" name="${name}" value="${typed(query(name) ?? '')}" />`)}
      <button>Show</button> <a href="${action}">Without filters</a>
    </form>
  </details>`;
}
