import { createInterface } from 'node:readline/promises';
import { giveUp } from '../../errors.ts';
import { inertOutput } from './print.ts';

/**
 * Asks on the terminal before something is destroyed; `yes` answers beforehand. The question goes to standard error, so that
 * standard output stays the command's answer.
 * @throws EverlogError `usage` where there is nobody to ask.
 */
export async function confirmed(
  question: string,
  yes: boolean,
  otherwise = ', or look with --dry-run first',
): Promise<boolean> {
  if (yes) return true;
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw giveUp('usage', `${question} There is no terminal to ask on: give --yes${otherwise}.`);
  }
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await prompt.question(inertOutput(`${question} [y/N] `));
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    prompt.close();
  }
}
