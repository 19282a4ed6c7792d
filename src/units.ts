/** Durations and sizes as they are written in options and variables (CONTRACT §1), and moments as GitHub gives them. */

const DURATION_UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

const SIZE_UNITS_BYTES: Readonly<Record<string, number>> = {
  '': 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
};

/** Milliseconds of `300ms`, `10s`, `5m`, `1h` or `7d`; null for anything else, also for a bare number: its unit would be a guess. */
export function parseDuration(text: string): number | null {
  const [, count, unit] = /^(\d{1,15})(ms|s|m|h|d)$/.exec(text) ?? [];
  return product(count, unit, DURATION_UNITS_MS);
}

/** Bytes of `1048576`, `64MiB` or `10 GiB`; null for anything else, also for `MB`, which means two different things. */
export function parseSize(text: string): number | null {
  const [, count, unit] = /^(\d{1,15}) ?(KiB|MiB|GiB|TiB|)$/.exec(text) ?? [];
  return product(count, unit, SIZE_UNITS_BYTES);
}

function product(
  count: string | undefined,
  unit: string | undefined,
  units: Readonly<Record<string, number>>,
): number | null {
  const factor = unit === undefined ? undefined : units[unit];
  if (count === undefined || factor === undefined) return null;
  const value = Number(count) * factor;
  return Number.isSafeInteger(value) ? value : null;
}

/** GitHub was founded in 2008. What lies before is no date of its own but a zero: year 1, 1970. */
const GITHUB_BEGAN_MS = Date.UTC(2008, 0, 1);

/** Milliseconds since 1970 of a moment that GitHub gave (RFC 3339); null for what is none, also for the year 1 that a server sends for "never". */
export function momentMs(text: string | null | undefined): number | null {
  if (text === null || text === undefined || !/^\d{4}-\d{2}-\d{2}T/.test(text)) return null;
  const ms = Date.parse(text);
  return ms >= GITHUB_BEGAN_MS ? ms : null;
}
