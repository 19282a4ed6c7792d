import type { JobRecord, RecordedLog } from '../../archive/record.ts';
import { compilePattern, LineSearch, type FoundLine } from '../../log/line-search.ts';
import { readLog } from '../../log/log-reader.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { lineToHtml } from './ansi.ts';
import { html, Html, typed } from '../html.ts';
import { factsHtml, titleOf } from './job-facts.ts';

/** What is looked for, and which page of its hits is shown. */
export interface LogSearch {
  readonly query: string;
  readonly page: number;
  /** Says that nobody waits any more. */
  readonly signal: AbortSignal;
}

/** Hits on one page. */
const HITS_PER_PAGE = 100;
const TEXT_CHARACTERS_MAX = 500;
/** Shown before the first hit of a line that is cut. */
const BEFORE_CHARACTERS = 100;

/** Every line of a log that holds a text at its letters, counted in full, a hundred to a page. */
export async function searchPage(
  store: ObjectStore,
  record: JobRecord,
  log: RecordedLog,
  address: string,
  { query, page, signal }: LogSearch,
): Promise<Html> {
  const compiled = compilePattern(query, { ignoreCase: true, fixed: true });
  if (!compiled.ok)
    return html`<h1>${titleOf(record)}</h1>
      <p>${compiled.problem}</p>`;
  const search = new LineSearch(compiled.pattern, 0);
  const from = (page - 1) * HITS_PER_PAGE;
  const hits: { readonly line: number; readonly shown: Html }[] = [];
  let count = 0;
  const take = (found: readonly FoundLine[]): void => {
    for (const { line, text } of found) {
      // Made HTML at once: a line may have a megabyte, and little of it is shown.
      if (count >= from && count < from + HITS_PER_PAGE) hits.push({ line, shown: hitHtml(text, query) });
      count += 1;
    }
  };
  for await (const chunk of readLog(store, log)) {
    signal.throwIfAborted();
    take(search.push(chunk));
  }
  take(search.end());
  const pages = Math.max(1, Math.ceil(count / HITS_PER_PAGE));
  const link = (to: number, name: string): Html =>
    html`<a href="${address}?q=${encodeURIComponent(query)}&page=${to}">${name}</a> `;
  return html`<h1>${titleOf(record)}</h1>
    ${factsHtml(record)}
    <div class="tools">
      <form action="${address}" method="get">
        <input
          type="search"
          name="q"
          value="${typed(query)}"
          aria-label="Search this log"
          maxlength="500"
        /><button>Search</button>
      </form>
      <a href="${address}">The log</a>
    </div>
    <p class="facts">
      ${count.toLocaleString('en-US')} ${count === 1 ? 'line holds' : 'lines hold'}
      <code>${query}</code>${pages > 1 && page <= pages ? html`, page ${page} of ${pages}` : ''}.
      ${page > 1 ? link(Math.min(page - 1, pages), '← Previous') : ''}${page < pages ? link(page + 1, 'Next →') : ''}
    </p>
    <div class="lines">
      <div class="block">
        ${hits.map(
          ({ line, shown }) =>
            html`<div data-n="${line}"><a href="${address}?line=${line}#L${line}">${shown}</a></div>`,
        )}
      </div>
    </div>`;
}

/** A line that was found, or of a long one the part that holds what was looked for. */
function hitHtml(text: string, query: string): Html {
  const at = text.length <= TEXT_CHARACTERS_MAX ? 0 : text.toLowerCase().indexOf(query.toLowerCase());
  const from = Math.max(0, at + query.length <= TEXT_CHARACTERS_MAX ? 0 : at - BEFORE_CHARACTERS);
  const to = from + TEXT_CHARACTERS_MAX;
  const part = lineToHtml(Buffer.from(text.slice(from, to)));
  return new Html(`${from > 0 ? '… ' : ''}${part}${to < text.length ? ' …' : ''}`);
}
