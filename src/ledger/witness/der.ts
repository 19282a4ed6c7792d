/** As much of DER (X.690) as a time stamp needs: definite lengths, tags of one byte. */

/** A value in a DER document. */
export interface DerValue {
  readonly tag: number;
  readonly content: Buffer;
}

export const DER = {
  boolean: 0x01,
  integer: 0x02,
  octetString: 0x04,
  objectId: 0x06,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
  /** Context-specific, constructed, number 0. */
  context0: 0xa0,
} as const;

/** Content longer than this has no place in a time stamp. */
const LENGTH_BYTES_MAX = 4;

/** Encodes a value. */
export function derValue(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([tag]), derLength(content.byteLength), content]);
}

/** Encodes a non-negative integer given as big-endian bytes. */
export function derInteger(bytes: Uint8Array): Buffer {
  let start = 0;
  while (start < bytes.byteLength - 1 && bytes[start] === 0) start += 1;
  const magnitude = bytes.subarray(start);
  const isHigh = (magnitude[0] ?? 0) >= 0x80;
  return derValue(DER.integer, Buffer.from(isHigh || magnitude.byteLength === 0 ? [0] : []), magnitude);
}

function derLength(length: number): Buffer {
  if (length < 0x80) return Buffer.from([length]);
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return Buffer.from([0x80 | bytes.length, ...bytes]);
}

/**
 * The values that stand one after another in a content.
 * @throws Error when it is cut or no DER
 */
export function derValues(content: Buffer): DerValue[] {
  const values: DerValue[] = [];
  for (let at = 0; at < content.byteLength;) {
    const { value, next } = valueAt(content, at);
    values.push(value);
    at = next;
  }
  return values;
}

function valueAt(bytes: Buffer, at: number): { value: DerValue; next: number } {
  const tag = bytes[at];
  const first = bytes[at + 1];
  if (tag === undefined || first === undefined || (tag & 0x1f) === 0x1f) throw new Error('no DER');
  let length = first;
  let start = at + 2;
  if (first >= 0x80) {
    const count = first & 0x7f;
    if (count === 0 || count > LENGTH_BYTES_MAX || start + count > bytes.byteLength)
      throw new Error('no DER');
    length = bytes.readUIntBE(start, count);
    start += count;
  }
  if (start + length > bytes.byteLength) throw new Error('DER that is cut');
  return { value: { tag, content: bytes.subarray(start, start + length) }, next: start + length };
}
