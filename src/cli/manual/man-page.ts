import { everyCommand, type CommandFacts } from './command-facts.ts';

/** Exit codes as the manual tells them (CONTRACT §1). */
const EXITS: readonly (readonly [code: string, means: string])[] = [
  ['0', 'ok'],
  ['1', 'failed'],
  ['2', 'wrong usage or configuration'],
  ['3', 'not found'],
  ['4', 'findings: tampering, gaps, failed checks; the command worked, the answer is bad'],
  ['5', 'not authorised'],
  ['130', 'interrupted'],
];

/** The manual page of a program, for `man`. */
export function manPage(program: CommandFacts): string {
  const commands = [...everyCommand(program)].filter(({ path }) => path.length > 0);
  const groups = [...new Set(program.commands.map(({ group }) => group))];
  const lines = [
    '.TH EVERLOG 1 "" "Everlog" "Everlog manual"',
    '.SH NAME',
    `everlog \\- ${roffText('keeps every job log of GitHub Actions, and says honestly what it does not have')}`,
    '.SH SYNOPSIS',
    '.B everlog',
    '.I command',
    '[options]',
    '.SH DESCRIPTION',
    roffText(program.description),
    '.SH COMMANDS',
    ...groups.flatMap((group) => [
      `.SS ${roffText(group.replace(/:$/, ''))}`,
      ...commands
        .filter(({ path }) => program.commands.some((one) => one.path[0] === path[0] && one.group === group))
        .flatMap(sectionOf),
    ]),
    '.SH EXIT STATUS',
    ...EXITS.flatMap(([code, means]) => ['.TP', code, roffText(means)]),
    '.SH ENVIRONMENT',
    roffText(
      'EVERLOG_ARCHIVE_URL names the archive, EVERLOG_QUEUE_URL the queue; all variables: everlog doctor, and the README. NO_COLOR takes colours away, PAGER is what cat shows a log through.',
    ),
    '.SH FILES',
    roffText('./data: the archive and the embedded queue, unless told otherwise.'),
  ];
  return `${lines.join('\n')}\n`;
}

function sectionOf({ usage, description, arguments: operands, options, examples }: CommandFacts): string[] {
  const own = options.filter(({ long }) => long !== '--help');
  return [
    '.PP',
    `.B ${roffText(usage)}`,
    '.br',
    roffText(`${description.charAt(0).toUpperCase()}${description.slice(1)}.`),
    '.RS',
    ...operands.flatMap((operand) => ['.TP', `.I ${roffText(operand.name)}`, roffText(operand.description)]),
    ...own.flatMap((option) => [
      '.TP',
      `.B ${roffText(option.flags)}`,
      roffText(option.description || option.value || ''),
    ]),
    ...examples.flatMap(({ line, says }) => ['.TP', `.B ${roffText(line)}`, roffText(says)]),
    '.RE',
  ];
}

/** As roff takes text at its letters: backslashes, dashes that can be typed again, letters beyond ASCII, and what begins a line. */
function roffText(text: string): string {
  const inert = text
    .replaceAll('\\', String.raw`\e`)
    .replaceAll('-', String.raw`\-`)
    .replaceAll('"', String.raw`\(dq`)
    .replaceAll(/[^\p{ASCII}]/gu, (letter) => `\\[u${codePointHex(letter)}]`);
  return /^[.']/.test(inert) ? `\\&${inert}` : inert;
}

function codePointHex(letter: string): string {
  return (letter.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
}
