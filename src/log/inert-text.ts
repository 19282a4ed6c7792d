/** Bytes that a colour adds at once, and those held back, on top of the bytes pushed. */
const CARRY_BYTES_MAX = 128;

/**
 * Collects the text that is left after escape sequences have been removed, and removes from it the characters that act on
 * a terminal though they look like text: C1 controls (C2 80–C2 9F) and those that override or isolate the reading direction.
 * Removal joins what stood apart, so a character is judged by what was put out before it, not by what was read.
 */
export class InertText {
  #out: Buffer = Buffer.alloc(0);
  #length = 0;
  /** The last two bytes already given out: a removed character must not arise across them. */
  #given: readonly [number, number] = [0, 0];
  #held: Buffer = Buffer.alloc(0);
  /** What stands before this place in `#out` stays, as it may have been given out by now. */
  #settled = 0;

  /** Makes room for a chunk of input of this many bytes. */
  begin(chunkBytes: number): void {
    this.#out = Buffer.allocUnsafe(this.#held.length + chunkBytes + CARRY_BYTES_MAX);
    this.#length = this.#held.copy(this.#out);
  }

  /** Adds a byte that can neither begin nor end a removed character. */
  add(byte: number): void {
    this.#out[this.#length++] = byte;
  }

  /** Adds a run of such bytes. */
  addRun(bytes: Uint8Array, from: number, to: number): void {
    this.#out.set(bytes.subarray(from, to), this.#length);
    this.#length += to - from;
  }

  /** Adds any byte of text, unless it completes a character that is to be removed. */
  addChecked(byte: number): void {
    if (byte >= 0x80 && byte <= 0xae) {
      const before = this.#last(1);
      if (before === 0xc2 && byte <= 0x9f) return this.#takeBack(1);
      if (this.#last(2) === 0xe2 && isDirectional(before, byte)) return this.#takeBack(2);
    }
    this.#out[this.#length++] = byte;
  }

  /** What can be given out, without the start of a character that may have to be removed. Valid until the next `begin`. */
  take(): Buffer {
    const keep = unfinishedBytes(this.#last(2), this.#last(1), this.#length);
    this.#held = Buffer.from(this.#out.subarray(this.#length - keep, this.#length));
    this.#length -= keep;
    this.#settled = Math.max(0, this.#settled - this.#length);
    this.#given = [this.#last(2), this.#last(1)];
    return this.#out.subarray(0, this.#length);
  }

  /** The rest, when nothing follows. */
  end(): Buffer {
    const rest = this.#held;
    this.#held = Buffer.alloc(0);
    return rest;
  }

  /** The byte that stands `back` places before the end of all that was put out. */
  #last(back: number): number {
    const at = this.#length - back;
    if (at >= 0) return this.#out[at] ?? 0;
    return at === -1 ? this.#given[1] : this.#given[0];
  }

  #takeBack(bytes: number): void {
    this.#length = Math.max(this.#settled, this.#length - bytes);
    this.#settled = this.#length;
  }
}

/** U+202A–U+202E and U+2066–U+2069, whose first byte is E2. */
function isDirectional(second: number, third: number): boolean {
  return second === 0x80 ? third >= 0xaa && third <= 0xae : second === 0x81 && third >= 0xa6 && third <= 0xa9;
}

/** How many of the last two bytes could be the start of a character that is removed. */
function unfinishedBytes(beforeLast: number, last: number, available: number): number {
  const bytes =
    last === 0xc2 || last === 0xe2 ? 1 : beforeLast === 0xe2 && (last === 0x80 || last === 0x81) ? 2 : 0;
  return Math.min(bytes, available);
}
