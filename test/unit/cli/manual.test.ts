import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { buildProgram, withHelpAsOption } from '../../../src/cli/commands.ts';
import { everyCommand, commandFacts } from '../../../src/cli/manual/command-facts.ts';
import { completionFor } from '../../../src/cli/manual/completion.ts';
import { manPage } from '../../../src/cli/manual/man-page.ts';

const program = await buildProgram(undefined, () => undefined);
const facts = commandFacts(program);
const commands = [...everyCommand(facts)].filter(({ path }) => path.length > 0);
const nameOf = ({ path }: { readonly path: readonly string[] }): string => path.join(' ');

/** What bash offers for the last of these words. */
function offeredByBash(...words: readonly string[]): string[] {
  const quoted = words.map((word) => `'${word}'`).join(' ');
  const script = `${completionFor('bash', facts)}
COMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}; _everlog
printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync('bash', ['--norc', '-c', script], { encoding: 'utf8' }).split('\n').filter(Boolean);
}

test('every command stands in a group and tells what it does; each that runs has an example', () => {
  expect(commands.length).toBeGreaterThan(30);
  for (const command of commands) {
    expect([nameOf(command), command.description]).toEqual([nameOf(command), expect.stringMatching(/.{5}/)]);
    const isRun = command.commands.length === 0;
    expect([nameOf(command), command.examples.length > 0]).toEqual([nameOf(command), isRun]);
  }
  expect(facts.commands.filter(({ group }) => !group.endsWith(':')).map(nameOf)).toEqual([]);
});

test('every option says what it is for', () => {
  const silent = commands.flatMap((command) =>
    command.options
      .filter(({ description }) => description === '')
      .map(({ long }) => `${nameOf(command)} ${long}`),
  );
  expect(silent).toEqual([]);
});

test('every example names its command, and options that it has', () => {
  for (const command of commands) {
    for (const { line } of command.examples) {
      expect(line).toContain(`everlog ${nameOf(command)}`);
      const words = line.replaceAll(/'[^']*'/g, 'text').split(/[\s()<>|]+/);
      const known = new Set(command.options.flatMap(({ long, short }) => [long, short]));
      const options = words.slice(words.indexOf('everlog')).filter((word) => /^--?[a-zA-Z]/.test(word));
      const bundled = options.flatMap((word) =>
        /^-[a-z]{2,}$/.test(word)
          ? word
              .slice(1)
              .split('')
              .map((letter) => `-${letter}`)
          : [word],
      );
      const own = command.path[0] === 'man' ? [] : bundled;
      expect([line, own.filter((option) => !known.has(option))]).toEqual([line, []]);
    }
  }
});

test('docs/everlog.1 is what `everlog man` prints', () => {
  const page = readFileSync(join(import.meta.dirname, '../../../docs/everlog.1'), 'utf8');
  expect(page, 'run: npm run -s build && npx everlog man > docs/everlog.1').toBe(manPage(facts));
});

test('bash completes commands, options, and values where there are few', () => {
  expect(offeredByBash('everlog', 'ver')).toEqual(['verify']);
  expect(offeredByBash('everlog', 'hold', '')).toEqual(expect.arrayContaining(['add', 'ls', 'rm']));
  expect(offeredByBash('everlog', 'hold', 'add', '--ca')).toEqual(['--case']);
  expect(offeredByBash('everlog', 'ls', '--repo', 'octo-org/app', '--fa')).toEqual(['--failed']);
  expect(offeredByBash('everlog', 'work', '--only', '')).toEqual(['archive', 'upkeep', 'seal']);
  expect(offeredByBash('everlog', 'ls', '--owner', '')).toEqual([]);
  expect(offeredByBash('everlog', 'completion', '')).toEqual(expect.arrayContaining(['bash', 'zsh', 'fish']));
});

test.each(['zsh', 'fish'] as const)('%s is told of every command and option', (shell) => {
  const script = completionFor(shell, facts);
  for (const command of commands) {
    expect(script).toContain(`'${command.path.at(-1)}`);
    for (const { long } of command.options)
      expect(script).toContain(shell === 'fish' ? `-l ${long.slice(2)}` : `'${long}:`);
  }
});

test.each([
  [
    ['help', 'hold', 'add'],
    ['hold', 'add', '--help'],
  ],
  [['help'], ['help']],
  [
    ['ls', '--help'],
    ['ls', '--help'],
  ],
  [
    ['cat', 'foo', '--help'],
    ['cat', 'foo', '--help'],
  ],
  [['grepp', '--help'], ['grepp']],
  [
    ['hold', 'ad', '-h'],
    ['hold', 'ad'],
  ],
  [['help', 'cta'], ['cta']],
])('%j is taken as %j', (words, taken) => {
  expect(withHelpAsOption(program, words)).toEqual(taken);
});
