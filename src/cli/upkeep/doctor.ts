import type { Command } from 'commander';
import { AREAS, examineAll, type Area, type Checked } from '../../doctor/examine.ts';
import { giveUp } from '../../errors.ts';
import { EXIT } from '../exit.ts';
import { inertText } from '../../log/terminal-sanitiser.ts';
import { standardTerminal, terminalOf } from '../terminal/standard-terminal.ts';
import { paint, type Tone } from '../terminal/table.ts';
import { openProgress } from '../terminal/terminal.ts';
import { print } from '../terminal/print.ts';
import { gatherValues } from '../repeatable.ts';

/** `everlog doctor`: checks everything by trying it. */

interface DoctorCommand {
  readonly skip: readonly string[];
  readonly json?: boolean;
}

const MARKS: Readonly<Record<Checked['status'], { readonly text: string; readonly tone: Tone }>> = {
  ok: { text: 'ok     ', tone: 'good' },
  warning: { text: 'warning', tone: 'dim' },
  failed: { text: 'FAILED ', tone: 'bad' },
  skipped: { text: 'skipped', tone: 'dim' },
};

export function registerDoctor(program: Command, done: (exit: number) => void): void {
  program
    .command('doctor')
    .description('check everything by trying it, with a fix for each failure')
    .option('--skip <area>', `leave out ${AREAS.join(', ')}; can be repeated`, gatherValues, [])
    .option('--json', 'one JSON document')
    .action(async (options: DoctorCommand) => done(await runDoctor(options)));
}

async function runDoctor(command: DoctorCommand): Promise<number> {
  const unknown = command.skip.filter((name) => !AREAS.some((area) => area === name));
  if (unknown.length > 0)
    throw giveUp('usage', `--skip ${inertText(unknown.join(', '))}: the areas are ${AREAS.join(', ')}`);
  const areas = new Set<Area>(AREAS.filter((area) => !command.skip.includes(area)));
  const progress = openProgress(process.stderr, terminalOf(process.stderr), () => new Date());
  const results: Checked[] = [];
  for await (const result of examineAll(areas)) {
    results.push(result);
    progress.clear();
    if (command.json !== true) print(checkText(result));
    progress.show(() => `${results.length} checks made`);
  }
  progress.clear();
  const failed = countWithStatus(results, 'failed');
  if (command.json === true) print(`${JSON.stringify({ ok: failed === 0, checks: results })}\n`);
  else {
    const warnings = countWithStatus(results, 'warning');
    print(`${results.length} checks: ${failed} failed, ${warnings} warnings\n`);
  }
  return failed === 0 ? EXIT.ok : EXIT.findings;
}

function countWithStatus(results: readonly Checked[], status: Checked['status']): number {
  return results.filter((result) => result.status === status).length;
}

/** The message of a configuration has lines of its own. */
function checkText({ area, name, status, detail, fix }: Checked): string {
  const { text, tone } = MARKS[status];
  const mark = paint(text, tone, standardTerminal());
  const [first = '', ...rest] = detail.split('\n').map(inertText);
  const lines = [`${mark}  ${area}: ${name}: ${first}`, ...rest.map((line) => `           ${line}`)];
  if (fix !== null && status !== 'ok') lines.push(`           → ${inertText(fix)}`);
  return lines.map((line) => `${line}\n`).join('');
}
