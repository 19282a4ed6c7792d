import { pino, type DestinationStream } from 'pino';
import { inertJson } from './json-text.ts';

/**
 * Everlog's own log: JSON lines with a static message and structured fields. Callers log ids, sizes, hashes and codes;
 * never a body, a token, a signature or a signed link.
 */
export interface Log {
  debug(fields: Record<string, unknown>, message: string): void;
  info(fields: Record<string, unknown>, message: string): void;
  warn(fields: Record<string, unknown>, message: string): void;
  error(fields: Record<string, unknown>, message: string): void;
  child(fields: Record<string, unknown>): Log;
}

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** A log that writes JSON lines to `destination`, with nothing in them that acts on a terminal. */
export function openLog(level: LogLevel, destination: DestinationStream): Log {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line: string) => destination.write(inertJson(line)) },
  );
}
