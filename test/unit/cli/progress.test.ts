import { expect, test } from 'vitest';
import { openProgress } from '../../../src/cli/terminal/terminal.ts';
import { captureStream, PIPE, SCREEN } from '../../support/harness/terminal-under-test.ts';

const CLEARED = '\r\u001b[2K';

/** A clock that is five seconds further at each look. */
function hastyClock(): () => Date {
  let ms = 0;
  return () => new Date((ms += 5_000));
}

test('a command that is ended while it shows its line takes the line away', () => {
  const before = process.listeners('exit');
  const stderr = captureStream();
  const progress = openProgress(stderr, SCREEN, hastyClock());
  progress.show(() => 'looking');
  progress.show(() => 'still looking');
  const [takeAway, ...more] = process.listeners('exit').filter((listener) => !before.includes(listener));
  expect(more).toEqual([]);
  takeAway?.(0);
  expect(stderr.text()).toBe(`${CLEARED}looking${CLEARED}still looking${CLEARED}`);
  expect(process.listeners('exit')).toEqual(before);
});

test('nothing is kept of a line that is away, and a pipe gets none', () => {
  const before = process.listeners('exit');
  const screen = captureStream();
  const shown = openProgress(screen, SCREEN, hastyClock());
  shown.show(() => 'looking');
  shown.clear();
  shown.clear();
  expect(screen.text()).toBe(`${CLEARED}looking${CLEARED}`);
  const pipe = captureStream();
  openProgress(pipe, PIPE, hastyClock()).show(() => 'looking');
  expect(pipe.text()).toBe('');
  expect(process.listeners('exit')).toEqual(before);
});
