import { giveUp } from '../errors.ts';

/** What S3 allows a key to measure, the archive's prefix included, in bytes of UTF-8. */
const KEY_BYTES_MAX = 1024;

/**
 * Refuses a key that could be a path of its own or that not every store can hold: empty, absolute, with `.` or `..` or
 * empty segments, with NUL or half a surrogate pair, or over 1,024 bytes.
 * @throws EverlogError `store_refused`, final. Keys may come from an archive under test, so this is no broken invariant.
 */
export function checkObjectKey(key: string): void {
  const problem = problemWith(key);
  if (problem !== null) throw giveUp('store_refused', `object key ${JSON.stringify(key)} ${problem}`);
}

function problemWith(key: string): string | null {
  if (key === '') return 'is empty';
  if (Buffer.byteLength(key) > KEY_BYTES_MAX) return `is longer than ${KEY_BYTES_MAX} bytes`;
  if (key.includes('\0')) return 'holds a NUL byte';
  if (/\p{Surrogate}/u.test(key)) return 'is not valid Unicode';
  for (const segment of key.split('/')) {
    if (segment === '') return 'has an empty segment';
    if (segment === '.' || segment === '..') return `has the segment ${segment}`;
  }
  return null;
}

/** Order of two keys by their UTF-8 bytes, which is how object stores list; negative when `a` comes first. */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at += 1) {
    const unitA = a.charCodeAt(at);
    const unitB = b.charCodeAt(at);
    if (unitA !== unitB) return utf8Rank(unitA) - utf8Rank(unitB);
  }
  return a.length - b.length;
}

/** UTF-16 puts surrogates before U+E000..U+FFFF; in UTF-8 the characters they stand for come after. */
function utf8Rank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}
