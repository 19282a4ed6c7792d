import { RE2JS, RE2JSException } from 're2js';

/** What is looked for in each line of a log. */
export interface LinePattern {
  /** Whether a line's text, without GitHub's time stamp, holds it. */
  matches(text: string): boolean;
  /** Bytes that stand in every line that matches, so that the others need not be decoded; null where there are none. */
  readonly literal: Buffer | null;
}

export interface PatternOptions {
  readonly ignoreCase: boolean;
  /** Takes the pattern at its letters. */
  readonly fixed: boolean;
}

/** A literal shorter than this stands in nearly every line. */
const LITERAL_CHARACTERS_MIN = 3;
/** A longer pattern is no pattern. */
const PATTERN_CHARACTERS_MAX = 10_000;

/**
 * Compiles a pattern in RE2's syntax, whose time is linear in the text's length whatever the pattern is; or says what is wrong
 * with it.
 */
export function compilePattern(
  pattern: string,
  { ignoreCase, fixed }: PatternOptions,
): { readonly ok: true; readonly pattern: LinePattern } | { readonly ok: false; readonly problem: string } {
  if (pattern === '') return { ok: false, problem: 'the pattern is empty' };
  if (pattern.length > PATTERN_CHARACTERS_MAX) return { ok: false, problem: 'the pattern is too long' };
  if (fixed && !ignoreCase) {
    const matches = (text: string): boolean => text.includes(pattern);
    return { ok: true, pattern: { matches, literal: Buffer.from(pattern) } };
  }
  try {
    const source = fixed ? RE2JS.quote(pattern) : pattern;
    const compiled = RE2JS.compile(source, ignoreCase ? RE2JS.CASE_INSENSITIVE : 0);
    const literal = ignoreCase ? null : literalIn(pattern);
    return {
      ok: true,
      pattern: {
        matches: (text) => compiled.test(text),
        literal: literal === null ? null : Buffer.from(literal),
      },
    };
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error;
    return {
      ok: false,
      problem: `the pattern cannot be read (${error.message}); -F takes it at its letters`,
    };
  }
}

/**
 * The longest run of letters that every match of a pattern holds; null where none is sure. Looks only outside of groups, classes
 * and alternatives, and drops a letter that a quantifier may leave out.
 */
export function literalIn(pattern: string): string | null {
  if (/[|]/.test(pattern) || pattern.includes('(?')) return null;
  let longest = '';
  let run = '';
  const endRun = (): void => {
    if (run.length > longest.length) longest = run;
    run = '';
  };
  for (let at = 0; at < pattern.length; at += 1) {
    const character = pattern[at] ?? '';
    if (character === '(' || character === '[') {
      endRun();
      const end = endOfGroup(pattern, at);
      if (end === null) return null;
      at = end;
    } else if (character === '\\') {
      const next = pattern[at + 1] ?? '';
      at += 1;
      if (/[A-Za-z0-9]/.test(next)) {
        // A class, an anchor, or an escape with more behind it: \Q…\E and \x{…} are not taken apart.
        if (/[QxpP0-7]/.test(next)) return null;
        endRun();
      } else run += next;
    } else if ('*?{'.includes(character)) {
      run = run.slice(0, -1);
      endRun();
      if (character === '{') at = Math.max(at, pattern.indexOf('}', at));
    } else if ('+.^$)'.includes(character)) {
      endRun();
    } else run += character;
  }
  endRun();
  return longest.length >= LITERAL_CHARACTERS_MIN ? longest : null;
}

/** Where the group or class that begins at `start` ends; null when it does not. */
function endOfGroup(pattern: string, start: number): number | null {
  if (pattern[start] === '[') {
    // A bracket right behind the opening one, or behind its caret, is a member of the class.
    let at = start + 1;
    if (pattern[at] === '^') at += 1;
    if (pattern[at] === ']') at += 1;
    for (; at < pattern.length; at += 1) {
      if (pattern[at] === '\\') at += 1;
      else if (pattern[at] === '[') return null;
      else if (pattern[at] === ']') return at;
    }
    return null;
  }
  let depth = 0;
  for (let at = start; at < pattern.length; at += 1) {
    if (pattern[at] === '\\') at += 1;
    else if (pattern[at] === '[') {
      const end = endOfGroup(pattern, at);
      if (end === null) return null;
      at = end;
    } else if (pattern[at] === '(') depth += 1;
    else if (pattern[at] === ')') {
      depth -= 1;
      if (depth === 0) return at;
    }
  }
  return null;
}

/** A line that was found, or stands beside one. */
export interface FoundLine {
  /** From 1, of the whole log. */
  readonly line: number;
  /** GitHub's stamp; null where the line has none. */
  readonly time: string | null;
  /** What stands behind the stamp. As GitHub served it: not harmless yet. */
  readonly text: string;
  /** False for a line that only stands beside a match. */
  readonly matched: boolean;
}

const LF = 0x0a;
const ESC = 0x1b;
/** What colours a word and is not a part of it. */
const COLOR = new RegExp(`${String.fromCharCode(ESC)}\\[[0-9;:]*m`, 'g');
/** Longer lines are searched in pieces of this length. */
const LINE_BYTES_MAX = 1024 * 1024;
/** What a piece has of the one before it: a match that lies across the cut is found if it is no longer. */
const OVERLAP_BYTES = 4 * 1024;
const STAMP = /^\uFEFF?(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z) ?/;

/** Searches a log chunk by chunk, line by line; holds one unfinished line and the context wanted. */
export class LineSearch {
  /** Lines that matched so far. */
  count = 0;
  readonly #pattern: LinePattern;
  readonly #context: number;
  #rest = Buffer.alloc(0);
  #line = 0;
  /** The last lines that did not match, for the context before a match; raw, as most are never shown. */
  #before: { readonly line: number; readonly bytes: Buffer }[] = [];
  /** Lines still to be shown behind the last match. */
  #after = 0;
  /** Whether what comes next goes on with a line of which a piece was searched already, and whether that piece matched. */
  #openLine: 'none' | 'searched' | 'found' = 'none';

  constructor(pattern: LinePattern, context: number) {
    this.#pattern = pattern;
    this.#context = context;
  }

  /** The lines found in the next bytes of the log. */
  push(chunk: Buffer): FoundLine[] {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const end = bytes.lastIndexOf(LF) + 1;
    if (end === 0 && bytes.length >= LINE_BYTES_MAX) return this.#searchPiece(bytes);
    this.#rest = Buffer.from(bytes.subarray(end));
    return this.#search(bytes.subarray(0, end));
  }

  /** The lines found in what was left over. */
  end(): FoundLine[] {
    const rest = this.#rest;
    this.#rest = Buffer.alloc(0);
    return this.#search(rest);
  }

  /** Searches a line that does not end here; it is counted once, whatever its length. */
  #searchPiece(bytes: Buffer): FoundLine[] {
    this.#rest = Buffer.from(bytes.subarray(bytes.length - OVERLAP_BYTES));
    const found: FoundLine[] = [];
    if (this.#openLine === 'none') this.#line += 1;
    if (this.#openLine !== 'found') this.#openLine = this.#takeMatch(bytes, found) ? 'found' : 'searched';
    return found;
  }

  #search(bytes: Buffer): FoundLine[] {
    const found: FoundLine[] = [];
    const { literal } = this.#pattern;
    let candidate = literal === null ? 0 : bytes.indexOf(literal);
    // A colour in the midst of a word hides it from the prefilter.
    let escape = literal === null ? -1 : bytes.indexOf(ESC);
    let from = 0;
    while (from < bytes.length) {
      if (candidate === -1 && escape === -1 && this.#after === 0 && this.#context === 0) {
        this.#line += countLines(bytes.subarray(from)) - (this.#openLine === 'none' ? 0 : 1);
        this.#openLine = 'none';
        break;
      }
      const feed = bytes.indexOf(LF, from);
      const to = feed === -1 ? bytes.length : feed;
      if (this.#openLine === 'none') this.#line += 1;
      const mayMatch =
        literal === null || (candidate !== -1 && candidate < to) || (escape !== -1 && escape < to);
      if (this.#openLine !== 'found') this.#take(bytes.subarray(from, to), mayMatch, found);
      this.#openLine = 'none';
      from = to + 1;
      if (literal === null) continue;
      if (candidate !== -1 && candidate < from) candidate = bytes.indexOf(literal, from);
      if (escape !== -1 && escape < from) escape = bytes.indexOf(ESC, from);
    }
    return found;
  }

  #take(bytes: Buffer, mayMatch: boolean, found: FoundLine[]): void {
    const line = this.#line;
    if (mayMatch && this.#takeMatch(bytes, found)) return;
    if (this.#after > 0) {
      this.#after -= 1;
      found.push({ ...readLine(line, bytes), matched: false });
    } else if (this.#context > 0) {
      this.#before.push({ line, bytes: Buffer.from(bytes) });
      if (this.#before.length > this.#context) this.#before.shift();
    }
  }

  /** Whether the line matches, and if so puts it and the context before it into `found`. */
  #takeMatch(bytes: Buffer, found: FoundLine[]): boolean {
    const read = readLine(this.#line, bytes);
    if (!this.#pattern.matches(read.text.replaceAll(COLOR, ''))) return false;
    for (const before of this.#before) found.push({ ...readLine(before.line, before.bytes), matched: false });
    this.#before = [];
    this.#after = this.#context;
    this.count += 1;
    found.push({ ...read, matched: true });
    return true;
  }
}

function readLine(line: number, bytes: Buffer): { line: number; time: string | null; text: string } {
  const whole = bytes.toString('utf8').replace(/\r$/, '');
  const [prefix = '', time = null] = STAMP.exec(whole) ?? [];
  return { line, time, text: prefix === '' ? whole.replace(/^\uFEFF/, '') : whole.slice(prefix.length) };
}

function countLines(bytes: Buffer): number {
  let lines = 0;
  for (let at = bytes.indexOf(LF); at !== -1; at = bytes.indexOf(LF, at + 1)) lines += 1;
  return lines + (bytes.length > 0 && bytes.at(-1) !== LF ? 1 : 0);
}
