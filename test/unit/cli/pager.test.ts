import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { withPager, type Paged } from '../../../src/cli/terminal/pager.ts';
import { pagerOf } from '../../../src/config/other-programs.ts';
import { openOutput } from '../../../src/cli/terminal/terminal.ts';
import { captureStream } from '../../support/harness/terminal-under-test.ts';

const env = { PATH: process.env['PATH'] };

async function paged(command: (file: string) => string, run: (paged: Paged) => Promise<number>) {
  const folder = await mkdtemp(join(tmpdir(), 'everlog-pager-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'shown');
  const real = { stdout: captureStream(), stderr: captureStream() };
  const exit = await withPager(real, run, { command: command(file), env });
  const shown = await readFile(file, 'utf8').catch(() => null);
  return { exit, shown, stdout: real.stdout.text(), stderr: real.stderr.text() };
}

/** A command that says something, prints, and says something again. */
const printing =
  (exit: number) =>
  async ({ stdout, stderr }: Paged): Promise<number> => {
    await openOutput(stderr).write('header\n');
    await openOutput(stdout).write('text\n');
    await openOutput(stderr).write('verdict\n');
    return exit;
  };

test('what is said stands in the pager between what is printed, and nowhere else', async () => {
  expect(await paged((file) => `cat > '${file}'`, printing(0))).toEqual({
    exit: 0,
    shown: 'header\ntext\nverdict\n',
    stdout: '',
    stderr: '',
  });
});

test('what a failed command said is told again, as the reader may have left before', async () => {
  expect(await paged((file) => `head -n 1 > '${file}'`, printing(4))).toMatchObject({
    exit: 4,
    shown: 'header\n',
    stderr: 'header\nverdict\n',
  });
});

test('a command without text needs no pager', async () => {
  const silent = async ({ stderr }: Paged): Promise<number> => {
    await openOutput(stderr).write('not recorded\n');
    return 3;
  };
  expect(await paged((file) => `cat > '${file}'`, silent)).toEqual({
    exit: 3,
    shown: null,
    stdout: '',
    stderr: 'not recorded\n',
  });
});

test('Ctrl-C ends the command until the pager is there, and is the pager’s from then on', async () => {
  const heard: number[] = [];
  const listening = (): void => void heard.push(process.listenerCount('SIGINT'));
  listening();
  const run = async ({ stdout, stderr }: Paged): Promise<number> => {
    await openOutput(stderr).write('looking\n');
    listening();
    await openOutput(stdout).write('text\n');
    listening();
    return 0;
  };
  await paged((file) => `cat > '${file}'`, run);
  listening();
  const [before = 0] = heard;
  expect(heard).toEqual([before, before, before + 1, before]);
});

test('without the program all is printed as ever', async () => {
  expect(await paged(() => 'no-such-pager -R', printing(0))).toEqual({
    exit: 0,
    shown: null,
    stdout: 'text\n',
    stderr: 'header\nverdict\n',
  });
});

test.each([
  [{}, 'less', 'FRX'],
  [{ PAGER: 'more' }, 'more', 'FRX'],
  [{ LESS: 'S' }, 'less', 'S'],
  [{ PAGER: '' }, undefined, undefined],
  [{ PAGER: 'cat' }, undefined, undefined],
])('%j asks for %s with LESS=%s', (given, command, less) => {
  const settings = pagerOf(given);
  expect([settings?.command, settings?.env['LESS']]).toEqual([command, less]);
});
