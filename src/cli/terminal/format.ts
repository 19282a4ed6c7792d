import { parseDuration } from '../../units.ts';

/** How moments, durations and sizes are read from options and shown to people. All times are UTC. */

const DAY_MS = 86_400_000;
const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** Spans that only a person means: a config's durations are shorter. */
const LONG_AGO_MS: Readonly<Record<string, number>> = { w: 7 * DAY_MS, y: 365 * DAY_MS };
/** What `parseMoment` takes, for the message that refuses something else. */
export const MOMENTS =
  '2026-11-20, "2026-11-20 14:00" (UTC), yesterday, an RFC 3339 time, or a duration ago like 7d, 2w or 1y';
/**
 * A moment given as a day (`2026-11-20`, `today`, `yesterday`), a day and a time of it in UTC (`2026-11-20 14:00`), in RFC 3339,
 * or as a duration ago (`7d`, `2w`, `1y`); null for anything else, also for a day that no calendar has. A day alone means its first moment, or its last where it ends a range.
 */
export function parseMoment(given: string, now: Date, edge: 'start' | 'end'): Date | null {
  const text = given.trim();
  const agoMs = parseDuration(text) ?? longAgoMs(text);
  if (agoMs !== null) return validDate(now.getTime() - agoMs);
  if (text === 'today' || text === 'yesterday') {
    const day = new Date(now.getTime() - (text === 'today' ? 0 : DAY_MS)).toISOString().slice(0, 10);
    return parseMoment(day, now, edge);
  }
  if (/^\d{4}-\d{2}-\d{2}$/.test(text)) {
    const start = validDate(Date.parse(`${text}T00:00:00Z`));
    if (start?.toISOString().slice(0, 10) !== text) return null;
    return edge === 'start' ? start : new Date(start.getTime() + DAY_MS - 1);
  }
  const [, day, minute] = /^(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2})$/.exec(text) ?? [];
  if (day !== undefined) {
    const start = validDate(Date.parse(`${day}T${minute}:00Z`));
    return start?.toISOString().slice(0, 10) === day ? start : null;
  }
  const isRfc3339 = /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|[+-]\d{2}:\d{2})$/.test(text);
  return isRfc3339 ? validDate(Date.parse(text.toUpperCase())) : null;
}

function longAgoMs(text: string): number | null {
  const [, count, unit = ''] = /^(\d{1,3})(w|y)$/.exec(text) ?? [];
  const unitMs = LONG_AGO_MS[unit];
  return count === undefined || unitMs === undefined ? null : Number(count) * unitMs;
}

/** `2026-09-20 02:19`, or a dash for a time that is not known. */
export function formatMoment(iso: string | null): string {
  const date = validDate(Date.parse(iso ?? ''));
  return date === null ? '–' : date.toISOString().slice(0, 16).replace('T', ' ');
}

/** `340 ms`, `8 s`, `1 m 05 s`, `2 h 03 m`, `3 d 4 h`. */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  const seconds = Math.floor(ms / 1_000);
  const [minutes, hours, days] = [
    Math.floor(seconds / 60),
    Math.floor(seconds / 3_600),
    Math.floor(seconds / 86_400),
  ];
  if (days > 0) return `${days} d ${hours % 24} h`;
  if (hours > 0) return `${hours} h ${twoDigits(minutes % 60)} m`;
  return minutes > 0 ? `${minutes} m ${twoDigits(seconds % 60)} s` : `${seconds} s`;
}

/** `0 B`, `999 B`, `1.2 KiB`, `64 MiB`: at most eight characters below 1,000 TiB. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? value.toFixed(0) : value.toFixed(1).replace(/\.0$/, '');
  return `${digits} ${UNITS[unit] ?? ''}`;
}

/** `12,345`. */
export function formatCount(count: number): string {
  return count.toLocaleString('en-US');
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0');
}

function validDate(ms: number): Date | null {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? null : date;
}

/** A count with its noun, in the number that goes with it. */
export function counted(count: number, one: string, several = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : several}`;
}
