import { readFileSync } from 'node:fs';
import { messageOf } from '../errors.ts';
import { parseDuration, parseSize } from '../units.ts';

/** Environment variables as they are read: every problem is kept, so that all are reported at once. */
export class Variables {
  readonly problems: string[] = [];
  private readonly env: Readonly<Record<string, string | undefined>>;

  constructor(env: Readonly<Record<string, string | undefined>>) {
    this.env = env;
  }

  /** The variable's text; null when it is unset or empty. */
  text(name: string): string | null {
    const value = this.env[name];
    return value === undefined || value.trim() === '' ? null : value;
  }

  /** A secret, from the variable or from the file that `NAME_FILE` names; one trailing line break is dropped there. */
  secret(name: string): string | null {
    const direct = this.text(name);
    const file = this.text(`${name}_FILE`);
    if (direct !== null && file !== null) {
      this.problem(name, `is set together with ${name}_FILE: set one of them`);
      return direct;
    }
    if (file === null) return direct;
    return this.secretFile(file, `${name}_FILE`);
  }

  /** The text of a secret's file. */
  secretFile(path: string, name: string): string | null {
    try {
      const text = readFileSync(path, 'utf8').replace(/\r?\n$/, '');
      if (text !== '') return text;
      this.problem(name, `names a file that is empty: ${path}`);
    } catch (error) {
      this.problem(name, `names a file that cannot be read: ${messageOf(error)}`);
    }
    return null;
  }

  duration(name: string, fallbackMs: number): number {
    return this.parsed(name, fallbackMs, parseDuration, 'a duration such as 300ms, 10s, 5m, 1h or 7d');
  }

  durations(name: string, fallbackMs: readonly number[]): readonly number[] {
    return this.parsed(
      name,
      fallbackMs,
      (text) => allOf(text.split(',').map((part) => parseDuration(part.trim()))),
      'durations separated by commas, such as 10s,1m,5m',
    );
  }

  /** A size of at least one byte. */
  size(name: string, fallbackBytes: number): number {
    const atLeastOne = (text: string): number | null => {
      const bytes = parseSize(text);
      return bytes === 0 ? null : bytes;
    };
    return this.parsed(name, fallbackBytes, atLeastOne, 'a size in bytes or such as 64MiB');
  }

  whole(name: string, fallback: number, range: { min: number; max: number }): number {
    return this.parsed(
      name,
      fallback,
      (text) => {
        const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
        return value >= range.min && value <= range.max ? value : null;
      },
      `a whole number from ${range.min} to ${range.max}`,
    );
  }

  /** A part of a whole, above 0 and at most 1. */
  share(name: string, fallback: number): number {
    return this.parsed(
      name,
      fallback,
      (text) => {
        const value = /^\d?\.?\d{1,6}$/.test(text) ? Number(text) : Number.NaN;
        return value > 0 && value <= 1 ? value : null;
      },
      'a share above 0 and at most 1, such as 0.1',
    );
  }

  flag(name: string): boolean {
    const words: Readonly<Record<string, boolean>> = {
      true: true,
      '1': true,
      yes: true,
      false: false,
      '0': false,
      no: false,
    };
    return this.parsed(name, false, (text) => words[text.toLowerCase()] ?? null, 'true or false');
  }

  choice<T extends string>(name: string, choices: readonly T[], fallback: T): T {
    return this.parsed(
      name,
      fallback,
      (text) => choices.find((choice) => choice === text) ?? null,
      `one of ${choices.join(', ')}`,
    );
  }

  /** Words separated by commas or white space. */
  list(name: string, isGood: (word: string) => boolean, form: string): readonly string[] {
    return this.parsed(
      name,
      [],
      (text) => {
        const words = text.split(/[\s,]+/).filter((word) => word !== '');
        return words.every(isGood) ? words : null;
      },
      form,
    );
  }

  /** Notes a problem with a variable; the value is never repeated, as it may be a secret. */
  problem(name: string, what: string): void {
    this.problems.push(`${name} ${what}`);
  }

  /** Reads a variable by `parse`, which answers null for text that it does not take. */
  parsed<T>(name: string, fallback: T, parse: (text: string) => T | null, form: string): T {
    const text = this.text(name);
    if (text === null) return fallback;
    const value = parse(text.trim());
    if (value !== null) return value;
    this.problem(name, `is not ${form}`);
    return fallback;
  }
}

function allOf(values: readonly (number | null)[]): number[] | null {
  const found = values.filter((value) => value !== null);
  return found.length === values.length ? found : null;
}
