const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;

const strictUtf8 = new TextDecoder('utf-8', { fatal: true });

/** The value that a text, or bytes in UTF-8, hold as JSON; null where they hold none. */
export function parseJsonOrNull(text: string | Uint8Array): unknown {
  try {
    return JSON.parse(typeof text === 'string' ? text : strictUtf8.decode(text));
  } catch {
    return null;
  }
}

/**
 * JSON as somebody sent it. What is parsed and written again is no longer what was sent: numbers over 2^53 are rounded,
 * `1e400` becomes null, escapes are rewritten. Whatever is kept as evidence is therefore cut out of the text it came in.
 */
export class JsonText {
  /** One JSON value, without the white space around it. */
  readonly text: string;

  private constructor(text: string) {
    this.text = text;
  }

  /** Takes a text that is one JSON value, by the judgement of JSON.parse, with that value; null for any other text. */
  static read(text: string): { readonly json: JsonText; readonly value: unknown } | null {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      return null;
    }
    const from = skipSpace(text, 0);
    return { json: new JsonText(text.slice(from, endOfValue(text, from))), value };
  }

  /** The text of a value made here, by JSON.stringify. */
  static of(value: null | boolean | number | string | readonly unknown[] | object): JsonText {
    return new JsonText(JSON.stringify(value));
  }

  /** The value, by JSON.parse: for looking into, not for writing down. */
  value(): unknown {
    return JSON.parse(this.text);
  }

  /**
   * The text of an object's member; of several by one name the last, as JSON.parse has it. Null where there is none, and for
   * what is no object. One pass over the text; keeps nothing of the other members.
   */
  member(name: string): JsonText | null {
    let found: JsonText | null = null;
    for (const { key, from, to } of membersOf(this.text)) {
      if (isKey(key, name)) found = new JsonText(this.text.slice(from, to));
    }
    return found;
  }

  /** The texts of an array's elements, in order; none for what is no array. */
  *elements(): Generator<JsonText> {
    const { text } = this;
    if (text[0] !== '[') return;
    let at = skipSpace(text, 1);
    while (text[at] !== ']') {
      const end = endOfValue(text, at);
      yield new JsonText(text.slice(at, end));
      at = skipComma(text, end);
    }
  }

  /** Whether it is an object. */
  isObject(): boolean {
    return this.text[0] === '{';
  }
}

/** An object's text, of members in their order: values are written by JSON.stringify, texts as they are. */
export function objectText(members: object): string {
  const parts: string[] = [];
  const named: readonly (readonly [string, unknown])[] = Object.entries(members);
  for (const [name, value] of named) {
    if (value === undefined) continue;
    parts.push(`${JSON.stringify(name)}:${valueText(value)}`);
  }
  return `{${parts.join(',')}}`;
}

function valueText(value: unknown): string {
  if (value instanceof JsonText) return value.text;
  if (Array.isArray(value) && value.some((one) => one instanceof JsonText)) {
    return `[${value.map(valueText).join(',')}]`;
  }
  return JSON.stringify(value);
}

interface Member {
  /** The name as it stands in the text, with its quotes. */
  readonly key: string;
  readonly from: number;
  readonly to: number;
}

/** The members of an object, from a text that JSON.parse has accepted; none for what is no object. */
function* membersOf(text: string): Generator<Member> {
  if (text[0] !== '{') return;
  let at = skipSpace(text, 1);
  while (text[at] !== '}') {
    const keyEnd = endOfString(text, at);
    // Over the colon.
    const from = skipSpace(text, skipSpace(text, keyEnd) + 1);
    const to = endOfValue(text, from);
    yield { key: text.slice(at, keyEnd), from, to };
    at = skipComma(text, to);
  }
}

function isKey(key: string, name: string): boolean {
  return key.includes('\\')
    ? JSON.parse(key) === name
    : key.length === name.length + 2 && key.slice(1, -1) === name;
}

/** The place after the value that begins at `at`. Counts brackets, so that no depth of nesting is too deep. */
function endOfValue(text: string, at: number): number {
  const first = text.charCodeAt(at);
  if (first === QUOTE) return endOfString(text, at);
  if (first !== OPEN_OBJECT && first !== OPEN_ARRAY) return endOfWord(text, at);
  let depth = 0;
  for (let place = at; place < text.length; place += 1) {
    const found = text.charCodeAt(place);
    if (found === QUOTE) place = endOfString(text, place) - 1;
    else if (found === OPEN_OBJECT || found === OPEN_ARRAY) depth += 1;
    else if (found === CLOSE_OBJECT || found === CLOSE_ARRAY) depth -= 1;
    if (depth === 0) return place + 1;
  }
  throw notJson();
}

/** The place after a number or one of the three words. */
function endOfWord(text: string, at: number): number {
  for (let place = at; place < text.length; place += 1) {
    const found = text.charCodeAt(place);
    if (found === COMMA || found === CLOSE_OBJECT || found === CLOSE_ARRAY || isSpace(found)) return place;
  }
  return text.length;
}

/** The place after the string whose opening quote is at `at`. */
function endOfString(text: string, at: number): number {
  for (let quote = text.indexOf('"', at + 1); quote !== -1; quote = text.indexOf('"', quote + 1)) {
    let before = quote;
    while (text.charCodeAt(before - 1) === BACKSLASH) before -= 1;
    if ((quote - before) % 2 === 0) return quote + 1;
  }
  throw notJson();
}

function skipSpace(text: string, at: number): number {
  let place = at;
  while (isSpace(text.charCodeAt(place))) place += 1;
  return place;
}

/** The place of what follows a member or element: the next one, or the closing bracket. */
function skipComma(text: string, at: number): number {
  const next = skipSpace(text, at);
  return text.charCodeAt(next) === COMMA ? skipSpace(text, next + 1) : next;
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}

/** Texts are looked into only after JSON.parse has accepted them. */
function notJson(): Error {
  return new Error('a text that JSON.parse has not accepted was looked into');
}

/** The same JSON value, written so that nothing in it acts on a terminal: JSON itself lets C1 controls and the like stand. */
export function inertJson(json: string): string {
  return json.replaceAll(
    /[\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
