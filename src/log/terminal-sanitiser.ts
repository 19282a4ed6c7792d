import { InertText } from './inert-text.ts';

/**
 * Makes bytes that somebody else wrote harmless on a terminal. A log holds whatever a job printed: sequences that retitle
 * the window, write the clipboard, hide a link, clear the screen or turn the reading order around.
 *
 * Kept: printable text, tab, LF, CR, bytes that are not UTF-8, and colours (`ESC [ … m` of digits, `;` and `:` alone) when they
 * are wanted. Removed: every other escape sequence with its content, other C0 controls and DEL, C1 controls in their UTF-8
 * form, and the characters that override or isolate the reading direction.
 */
export interface TerminalSanitiser {
  /** The harmless part of the next bytes; may hold back a few until it knows what follows. */
  push(chunk: Uint8Array): Buffer;
  /** What was held back, and the end of a colour that the bytes left switched on. */
  end(): Buffer;
}

const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const ESC = 0x1b;
const BEL = 0x07;
const DEL = 0x7f;
const BACKSLASH = 0x5c;
/** `]` OSC, `P` DCS, `X` SOS, `^` PM, `_` APC. */
const STRING_STARTS: ReadonlySet<number> = new Set([0x5d, 0x50, 0x58, 0x5e, 0x5f]);

/** Removed at most of a sequence that never ends, so that it cannot swallow the log: titles, links and images end earlier or at the line. */
const STRING_BYTES_MAX = 4_096;
/** Longest control sequence taken for one; a colour with both 24-bit colours and all attributes has under 64 bytes. */
const CONTROL_BYTES_MAX = 64;
const RESET = Buffer.from('\u001b[0m');

/** Where in a sequence the filter is. `string`: OSC, DCS, APC, PM or SOS; `nf`: escape with intermediates, like `ESC ( B`. */
type State = 'text' | 'escape' | 'nf' | 'control' | 'string' | 'string-escape';

/** A filter for one stream of bytes; what it gives out does not depend on how the bytes are cut into chunks. */
export function createTerminalSanitiser(options: { readonly color: boolean }): TerminalSanitiser {
  return new EscapeRemover(options.color);
}

class EscapeRemover implements TerminalSanitiser {
  readonly #color: boolean;
  readonly #text = new InertText();
  #state: State = 'text';
  /** Parameters and intermediates of the control sequence being read. */
  readonly #control = Buffer.alloc(CONTROL_BYTES_MAX);
  /** Bytes of the sequence being read. */
  #bytes = 0;
  #isOsc = false;
  #previous = 0;
  #isColored = false;

  constructor(color: boolean) {
    this.#color = color;
  }

  push(chunk: Uint8Array): Buffer {
    this.#text.begin(chunk.length);
    let at = 0;
    while (at < chunk.length) {
      const runEnd = this.#state === 'text' ? endOfPlainRun(chunk, at) : at;
      if (runEnd > at) {
        this.#text.addRun(chunk, at, runEnd);
        at = runEnd;
        continue;
      }
      const byte = chunk[at++] ?? 0;
      this.#step(byte);
      this.#previous = byte;
    }
    return this.#text.take();
  }

  end(): Buffer {
    const rest = this.#text.end();
    return this.#isColored ? Buffer.concat([rest, RESET]) : rest;
  }

  #step(byte: number): void {
    switch (this.#state) {
      case 'text':
        return this.#plain(byte);
      case 'escape':
        return this.#escape(byte);
      case 'nf':
        return this.#intermediate(byte);
      case 'control':
        return this.#controlSequence(byte);
      case 'string':
        return this.#string(byte);
      case 'string-escape':
        // `ESC \` ends the string; any other escape ends it as well and begins a sequence of its own.
        return byte === BACKSLASH ? this.#enter('text') : this.#escape(byte);
    }
  }

  #enter(state: State): void {
    this.#state = state;
    this.#bytes = 0;
  }

  #plain(byte: number): void {
    this.#enter('text');
    if (byte === ESC) this.#enter('escape');
    else if (byte < 0x20 ? byte === TAB || byte === LF || byte === CR : byte !== DEL)
      this.#text.addChecked(byte);
  }

  #escape(byte: number): void {
    if (byte === 0x5b) {
      this.#enter('control');
    } else if (STRING_STARTS.has(byte)) {
      this.#enter('string');
      this.#isOsc = byte === 0x5d;
    } else if (isIntermediate(byte)) {
      this.#enter('nf');
    } else {
      this.#endEscape(byte);
    }
  }

  #intermediate(byte: number): void {
    this.#bytes += 1;
    if (!isIntermediate(byte) || this.#bytes > CONTROL_BYTES_MAX) this.#endEscape(byte);
  }

  /** The last byte of an escape belongs to it, unless it is none that an escape may end with. */
  #endEscape(byte: number): void {
    this.#enter('text');
    if (byte < 0x30 || byte >= DEL) this.#plain(byte);
  }

  #controlSequence(byte: number): void {
    if (byte >= 0x20 && byte <= 0x3f && this.#bytes < CONTROL_BYTES_MAX) {
      this.#control[this.#bytes++] = byte;
    } else if (byte >= 0x40 && byte < DEL) {
      if (byte === 0x6d && this.#color) this.#addColor(this.#control.subarray(0, this.#bytes));
      this.#enter('text');
    } else {
      this.#plain(byte);
    }
  }

  #addColor(parameters: Buffer): void {
    // Digits, `:` and `;` stand together in ASCII.
    if (!parameters.every((byte) => byte >= 0x30 && byte <= 0x3b)) return;
    this.#text.add(ESC);
    this.#text.add(0x5b);
    for (const byte of parameters) this.#text.add(byte);
    this.#text.add(0x6d);
    this.#isColored = parameters.length > 1 || (parameters.length === 1 && parameters[0] !== 0x30);
  }

  #string(byte: number): void {
    this.#bytes += 1;
    const isEnd = (this.#isOsc && byte === BEL) || (this.#previous === 0xc2 && byte === 0x9c);
    if (byte === ESC) this.#enter('string-escape');
    else if (byte === LF || byte === CR) this.#plain(byte);
    else if (isEnd || this.#bytes >= STRING_BYTES_MAX) this.#enter('text');
  }
}

/** Largest name that is shown whole; longer ones are cut. GitHub allows names of jobs and branches of a few hundred characters. */
const NAME_CHARACTERS_MAX = 1_000;

/** A line that somebody else wrote, fit to stand in one line on a terminal with its spaces and tabs; colours are removed. */
export function inertLine(text: string): string {
  const filter = createTerminalSanitiser({ color: false });
  const bytes = Buffer.concat([filter.push(Buffer.from(text)), filter.end()]);
  return bytes
    .toString('utf8')
    .replaceAll(/\p{Cf}/gu, '')
    .replaceAll(/[\r\n\u2028\u2029]/gu, ' ');
}

/** A name that somebody else chose, fit to stand in one line on a terminal: nothing in it moves, colours, hides or turns around. */
export function inertText(text: string): string {
  const filter = createTerminalSanitiser({ color: false });
  const bytes = Buffer.concat([filter.push(Buffer.from(text.slice(0, NAME_CHARACTERS_MAX))), filter.end()]);
  return bytes
    .toString('utf8')
    .replaceAll(/\p{Cf}/gu, '')
    .replaceAll(/\s+/gu, ' ')
    .trim();
}

/** Where the printable ASCII, tabs and line feeds that begin at `from` end: nearly all of a log, so it is copied in one go. */
function endOfPlainRun(chunk: Uint8Array, from: number): number {
  let at = from;
  for (; at < chunk.length; at += 1) {
    const byte = chunk[at] ?? 0;
    if (byte < 0x20 ? byte !== LF && byte !== TAB : byte >= DEL) break;
  }
  return at;
}

function isIntermediate(byte: number): boolean {
  return byte >= 0x20 && byte <= 0x2f;
}
