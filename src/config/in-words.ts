import type { z } from 'zod';

/** What values are called in the messages of a YAML file. */
const KINDS: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a mapping (name: value)',
  null: 'nothing',
};

/**
 * What is wrong with a value of a settings file, in words for whoever wrote it: for a schema's `safeParse(value, { error: inWords })`.
 * Messages that a schema gives of its own go before.
 */
export function inWords(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      if (issue.input === undefined) return 'is missing';
      return `has to be ${KINDS[issue.expected] ?? issue.expected}, and is ${kindOf(issue.input)}`;
    case 'unrecognized_keys':
      return `has ${issue.keys.map((key) => JSON.stringify(key)).join(' and ')}, of which nothing is known`;
    case 'invalid_union':
      if (issue.input === undefined) return 'is missing';
      return `cannot be ${kindOf(issue.input)}`;
    case 'too_small':
      return issue.origin === 'array' || issue.origin === 'string'
        ? 'is empty'
        : `has to be at least ${issue.minimum}`;
    case 'too_big':
      return issue.origin === 'array'
        ? `has more than ${issue.maximum} entries`
        : `has to be at most ${issue.maximum}`;
    case 'custom':
    case 'invalid_element':
    case 'invalid_format':
    case 'invalid_key':
    case 'invalid_value':
    case 'not_multiple_of':
      return undefined;
  }
}

function kindOf(value: unknown): string {
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'number') return Number.isInteger(value) ? 'a number' : 'a number with a fraction';
  if (typeof value === 'string' && value === '') return 'an empty text';
  return KINDS[typeof value] ?? typeof value;
}
