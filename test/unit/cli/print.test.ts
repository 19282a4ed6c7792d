import { expect, test } from 'vitest';
import { inertOutput } from '../../../src/cli/terminal/print.ts';
import { openOutput } from '../../../src/cli/terminal/terminal.ts';
import { captureStream } from '../../support/harness/terminal-under-test.ts';

const TITLE = '\u001b]0;owned\u0007';

test('what would act on a terminal is taken out of text; colours and lines stay', () => {
  expect(inertOutput(`a${TITLE}b\u001b[2J\u009b\u202e\n\u001b[31mred\u001b[0m\n`)).toBe(
    'ab\n\u001b[31mred\u001b[0m\n',
  );
});

test('a line of JSON keeps its value', () => {
  const value = { name: `x${TITLE}\u009b2J\u202e\u007fy`, 'z\u2028': [1] };
  const shown = inertOutput(`${JSON.stringify(value)}\n`);
  expect(shown.trimEnd()).not.toMatch(/[\p{Cc}\u202e\u2028]/u);
  expect(JSON.parse(shown)).toEqual(value);
});

test('text that only begins like JSON is as harmless', () => {
  expect(inertOutput(`{${TITLE}`)).toBe('{]0;owned');
});

test('an output makes text harmless, and lets bytes be', async () => {
  const stream = captureStream();
  const out = openOutput(stream);
  await out.write(`a${TITLE}\n`);
  await out.write(Buffer.from(TITLE));
  expect(stream.text()).toBe(`a\n${TITLE}`);
});
