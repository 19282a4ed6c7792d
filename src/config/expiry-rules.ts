import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';
import { giveUp, messageOf } from '../errors.ts';
import { parseDuration } from '../units.ts';
import { inWords } from './in-words.ts';

/** A rule of a file: how long jobs of a place are kept. */
export interface ConfiguredRule {
  readonly host: string | null;
  readonly owner: string | null;
  readonly repo: string | null;
  /** In milliseconds; null: for ever. */
  readonly keepMs: number | null;
  /** As it was written. */
  readonly keep: string;
}

/** More rules are a list of repositories, which belongs into an owner's rule. */
const RULES_MAX = 1_000;

const name = z.string().regex(/^(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}$/, 'is no name that GitHub allows');
const ruleSchema = z
  .strictObject({
    host: z.string().min(1).optional(),
    owner: name.optional(),
    repo: z.string().optional(),
    keep: z.string(),
  })
  .transform((rule, context) => {
    const [first = '', second, ...rest] = rule.repo?.split('/') ?? [];
    const owner = second === undefined ? rule.owner : first;
    const repo = second ?? (rule.repo === undefined ? undefined : first);
    const keepMs = rule.keep === 'forever' ? null : parseDuration(rule.keep);
    const problem = (path: string, message: string): void => {
      context.addIssue({ code: 'custom', path: [path], message });
    };
    if (rule.keep !== 'forever' && keepMs === null)
      problem('keep', 'takes a duration such as 400d, or forever');
    if (rest.length > 0 || (repo !== undefined && !name.safeParse(repo).success)) {
      problem('repo', 'takes OWNER/REPO, or REPO beside owner');
    } else if (repo !== undefined && owner === undefined) problem('repo', 'needs its owner: OWNER/REPO');
    else if (rule.owner !== undefined && owner?.toLowerCase() !== rule.owner.toLowerCase()) {
      problem('repo', 'names another owner than owner does');
    }
    const host = rule.host?.toLowerCase() ?? null;
    return { host, owner: owner ?? null, repo: repo ?? null, keepMs, keep: rule.keep };
  });
const fileSchema = z.array(ruleSchema).min(1, 'is empty').max(RULES_MAX);

/**
 * Reads a file of retention rules: a YAML list of `{host, owner, repo, keep}`.
 * @throws EverlogError `config_invalid` that lists every problem, each with its rule and the cure
 */
export function loadExpiryRules(file: string): readonly ConfiguredRule[] {
  let value: unknown;
  try {
    value = parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw giveUp('config_invalid', `--rules ${file} cannot be read: ${messageOf(error)}`, error);
  }
  const parsed = fileSchema.safeParse(value, { error: inWords });
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => {
    const [index, ...field] = path;
    const where = typeof index === 'number' ? `rule ${index + 1}` : 'the file';
    return `  - ${where}${field.length > 0 ? `, ${field.join('.')}` : ''}: ${message}`;
  });
  throw giveUp('config_invalid', `--rules ${file}:\n${problems.join('\n')}`);
}
