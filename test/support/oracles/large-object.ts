/** Two full parts of an upload and a bit. */
const BYTES = 2 * 16 * 1024 * 1024 + 4_321;

/** The bytes that belong under a key. */
export function largeObject(key: string): Buffer {
  return Buffer.alloc(BYTES, `${key}\n`);
}
