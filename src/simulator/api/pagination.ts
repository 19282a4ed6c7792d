const DEFAULT_PAGE_ITEMS = 30;
const PAGE_ITEMS_LIMIT = 100;

export interface ResultPage<T> {
  items: T[];
  headers: Record<string, string>;
}

function positive(text: string | null, fallback: number): number {
  const value = Number(text ?? fallback);
  return Number.isInteger(value) && value > 0 ? value : fallback;
}

/** The page size asked for: default 30, at most 100. */
export function pageItems(query: URLSearchParams): number {
  return Math.min(positive(query.get('per_page'), DEFAULT_PAGE_ITEMS), PAGE_ITEMS_LIMIT);
}

/** One entry of a Link header: the same address with other parameters. */
export function linkTo(
  base: string,
  query: URLSearchParams,
  changes: Record<string, string>,
  rel: string,
): string {
  const changed = new URLSearchParams(query);
  for (const [name, value] of Object.entries(changes)) changed.set(name, value);
  return `<${base}?${changed.toString()}>; rel="${rel}"`;
}

/** Cuts a page out of a list and makes its Link header; `base` is the address without its query. */
export function paginate<T>(all: readonly T[], query: URLSearchParams, base: string): ResultPage<T> {
  const perPage = pageItems(query);
  const page = positive(query.get('page'), 1);
  const last = Math.max(1, Math.ceil(all.length / perPage));
  const to = (number: number, rel: string) => linkTo(base, query, { page: String(number) }, rel);
  const links = [
    ...(page > 1 ? [to(Math.min(page - 1, last), 'prev')] : []),
    ...(page < last ? [to(page + 1, 'next'), to(last, 'last')] : []),
    ...(page > 1 ? [to(1, 'first')] : []),
  ];
  return {
    items: all.slice((page - 1) * perPage, page * perPage),
    headers: links.length === 0 ? {} : { link: links.join(', ') },
  };
}
