/** Values of columns as they were read, by the type that the column should have. */

/** A text that was read; null for anything else. */
export function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

/** A number that was read, also one of 64 bits, as ids and sizes are exact as numbers; null for anything else. */
export function numberOrNull(value: unknown): number | null {
  if (typeof value === 'bigint') return Number(value);
  return typeof value === 'number' ? value : null;
}

/** A list that was read; empty for anything else. */
export function listOrEmpty(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
