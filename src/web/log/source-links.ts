import { escapeHtml } from '../html.ts';

/** `src/a.ts:12` or `src/a.ts:12:3`, also below a runner's own folder; begins where no path can go on before it. */
const PLACE =
  /(?<![\w./@\\-])(?:\/home\/runner\/work\/[\w.-]+\/[\w.-]+\/|\.\/)?((?:[\w@-][\w.@-]*\/)*[\w@-][\w.@-]*\.[A-Za-z]{1,5}):(\d{1,6})(?::\d{1,6})?(?![\w./-])/g;
/** Of a longer text nothing is linked: it is no message that names a place. */
const TEXT_CHARACTERS_MAX = 2_000;

/**
 * Text of a log as HTML, with places in the source linked at the commit that the job ran on. `source` is the repository's
 * address at its host; a link leads nowhere else, whatever the text is.
 */
export function sourceLinks(source: string, sha: string): (text: string) => string {
  const base = `${source}/blob/${encodeURIComponent(sha)}/`;
  return (text) => {
    if (!text.includes(':') || text.length > TEXT_CHARACTERS_MAX) return escapeHtml(text);
    let out = '';
    let from = 0;
    for (const match of text.matchAll(PLACE)) {
      const [whole, path = '', line = ''] = match;
      if (path.includes('..') || path.startsWith('node_modules/') || !path.includes('/')) continue;
      const href = `${base}${path.split('/').map(encodeURIComponent).join('/')}#L${line}`;
      out += `${escapeHtml(text.slice(from, match.index))}<a href="${escapeHtml(href)}">${escapeHtml(whole)}</a>`;
      from = match.index + whole.length;
    }
    return out + escapeHtml(text.slice(from));
  };
}
