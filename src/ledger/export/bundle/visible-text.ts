/** Characters shown at most: what the longest object key has. GitHub allows names of a few hundred. */
const CHARACTERS_MAX = 1_024;

const ACTING = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u;

/**
 * A name that somebody else chose, as people may safely look at it: what would act or stay hidden (controls, marks that turn the
 * reading order around, characters without width) is written out as `\u{202e}`.
 */
function visibleText(text: string): string {
  let shown = '';
  let count = 0;
  for (const character of text) {
    if (count === CHARACTERS_MAX) return `${shown}…`;
    count += 1;
    shown += ACTING.test(character) ? `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}` : character;
  }
  return shown;
}

/** Text fit for HTML, in an element or in a quoted attribute. */
export function htmlText(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  };
  return visibleText(text).replaceAll(/[&<>"']/g, (character) => entities[character] ?? '');
}

/**
 * A field of a CSV file (RFC 4180), always quoted. What a spreadsheet would take for a formula gets an apostrophe in front.
 */
export function csvField(text: string): string {
  const visible = visibleText(text);
  const harmless = /^[\s]*[=+\-@]/.test(visible) ? `'${visible}` : visible;
  return `"${harmless.replaceAll('"', '""')}"`;
}
