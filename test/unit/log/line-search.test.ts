import { expect, test } from 'vitest';
import { compilePattern, LineSearch, literalIn, type FoundLine } from '../../../src/log/line-search.ts';

function search(log: string, pattern: string, options = {}, context = 0, chunkBytes = 7): FoundLine[] {
  const compiled = compilePattern(pattern, { ignoreCase: false, fixed: false, ...options });
  if (!compiled.ok) throw new Error(compiled.problem);
  const lines = new LineSearch(compiled.pattern, context);
  const bytes = Buffer.from(log);
  const found: FoundLine[] = [];
  for (let at = 0; at < bytes.length; at += chunkBytes)
    found.push(...lines.push(bytes.subarray(at, at + chunkBytes)));
  found.push(...lines.end());
  expect(lines.count).toBe(found.filter(({ matched }) => matched).length);
  return found;
}

const LOG = [
  '\uFEFF2020-01-20T17:42:40.1000000Z npm ci',
  '2020-01-20T17:42:41.1000000Z   added 7 packages\r',
  'without a stamp: npm ERR!',
  '2020-01-20T17:42:42.0000000Z ',
  '2020-01-20T17:42:43.0000000Z done npm',
].join('\n');

test('lines are found with their number, stamp and text', () => {
  expect(search(LOG, 'npm')).toEqual([
    { line: 1, time: '2020-01-20T17:42:40.1000000Z', text: 'npm ci', matched: true },
    { line: 3, time: null, text: 'without a stamp: npm ERR!', matched: true },
    { line: 5, time: '2020-01-20T17:42:43.0000000Z', text: 'done npm', matched: true },
  ]);
});

test.each([
  ['^npm', {}, [1]],
  ['packages$', {}, [2]],
  ['^$', {}, [4]],
  ['NPM', { ignoreCase: true }, [1, 3, 5]],
  ['npm.*', { fixed: true }, []],
  ['err!', { fixed: true, ignoreCase: true }, [3]],
  ['2020-01-20', {}, []],
  ['npm|added', {}, [1, 2, 3, 5]],
  ['ad+ed [0-9]', {}, [2]],
  ['(a+)+$', {}, []],
])('%s %j matches the lines %j', (pattern, options, lines) => {
  expect(search(LOG, pattern, options).map(({ line }) => line)).toEqual(lines);
});

test('colours are no part of the text that is searched', () => {
  const log = 'plain\nnpm \u001b[1;31mE\u001b[0mRR!\nlast';
  expect(search(log, 'npm ERR').map(({ line }) => line)).toEqual([2]);
  expect(search(log, 'npm ERR', { fixed: true }).map(({ line }) => line)).toEqual([2]);
});

test('context stands around a match, each line once and in order', () => {
  expect(search(LOG, 'added', {}, 1).map(({ line, matched }) => [line, matched])).toEqual([
    [1, false],
    [2, true],
    [3, false],
  ]);
  expect(search(LOG, 'npm', {}, 1).map(({ line }) => line)).toEqual([1, 2, 3, 4, 5]);
});

test('a bad pattern is told with a way out', () => {
  expect(compilePattern('a(', { ignoreCase: false, fixed: false })).toMatchObject({
    ok: false,
    problem: expect.stringContaining('-F takes it at its letters'),
  });
  expect(compilePattern('', { ignoreCase: false, fixed: true })).toMatchObject({ ok: false });
});

test.each([
  ['error: [0-9]+ left', 'error: '],
  ['a|b', null],
  ['colou?r', 'colo'],
  ['fo{0}bar', 'bar'],
  ['(not sure) but this', ' but this'],
  ['[abc]def', 'def'],
  ['x\\.json', 'x.json'],
  ['\\d+ passed', ' passed'],
  ['\\Qa.b\\E', null],
  ['(?i)error', null],
  ['[[:alpha:]]word', null],
  ['ab', null],
])('every match of %s holds %j', (pattern, literal) => {
  expect(literalIn(pattern)).toBe(literal);
});

test('what the prefilter lets through is what every line alone would say', () => {
  const words = ['alpha', 'beta', 'gam.ma', 'delta(1)', 'x', ''];
  const patterns = [
    'alpha',
    'al.ha',
    'gam\\.ma',
    'delta\\(1\\)',
    'be?ta',
    '(beta|x) alpha',
    'a+lpha x',
    '[ab]eta',
    'ta.*ma$',
  ];
  let seed = 7;
  const random = (limit: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return seed % limit;
  };
  for (let round = 0; round < 200; round += 1) {
    const lines = Array.from({ length: random(20) }, () =>
      Array.from({ length: random(5) }, () => words[random(words.length)]).join(' '),
    );
    const pattern = patterns[random(patterns.length)] ?? '';
    const expected = lines.flatMap((text, index) => (new RegExp(pattern).test(text) ? [index + 1] : []));
    const found = search(lines.join('\n'), pattern, {}, 0, 1 + random(40));
    // A last line that is empty and has no line feed is no line.
    expect(found.map(({ line }) => line)).toEqual(
      expected.filter((line) => line < lines.length || lines.at(-1) !== ''),
    );
  }
});

test('a line of many megabytes is one line: counted once, found across the cuts, and those after it keep their numbers', () => {
  const part = 'x'.repeat(1024 * 1024 - 3);
  const log = `first\n${part}needle${part}needle${part}\nneedle ${part}\nlast needle\nnone`;
  for (const fixed of [true, false]) {
    const found = search(log, 'needle', { fixed }, 0, 64 * 1024);
    expect(found.map(({ line }) => line)).toEqual([2, 3, 4]);
  }
  expect(search(log, 'none', { fixed: true }, 0, 64 * 1024).map(({ line }) => line)).toEqual([5]);
  expect(
    search(log, 'NONE', { fixed: true, ignoreCase: true }, 1, 64 * 1024).map(({ line }) => line),
  ).toEqual([4, 5]);
});
