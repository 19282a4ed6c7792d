import { describe, expect, test } from 'vitest';
import { stepsOf } from '../../../src/log/log-steps.ts';
import { createLogView, parseLineRange } from '../../../src/log/log-view.ts';
import type { LogViewOptions } from '../../../src/log/log-view.ts';
import { makeRecord } from '../../support/oracles/archived-jobs.ts';

const ESC = '\u001b';
const STAMP = '2026-09-20T02:19:47.8429278Z';
const LATER = '2026-09-20T02:19:49.0000000Z';
const STEPS = stepsOf(
  makeRecord({
    job: {
      steps: [
        {
          number: 1,
          name: 'one',
          conclusion: 'success',
          started_at: '2026-09-20T02:19:47Z',
          completed_at: '2026-09-20T02:19:48Z',
        },
        {
          number: 2,
          name: 'two',
          conclusion: 'failure',
          started_at: '2026-09-20T02:19:49Z',
          completed_at: '2026-09-20T02:19:50Z',
        },
      ],
    },
  }),
);
const LOG = Buffer.from(
  `\ufeff${STAMP} first ${ESC}[31mred${ESC}[0m\r\n${STAMP} second\n  continued ${ESC}]0;x\u0007\n\n\ufeff${LATER} third “ü”\n${LATER} last`,
);

function show(options: Partial<LogViewOptions>, log = LOG, chunkBytes = log.length || 1): string {
  const view = createLogView({
    format: 'text',
    color: false,
    steps: STEPS,
    onlySteps: null,
    onlyLines: null,
    ...options,
  });
  const shown: Buffer[] = [];
  for (let at = 0; at < log.length; at += chunkBytes) {
    shown.push(Buffer.from(view.push(log.subarray(at, at + chunkBytes))));
  }
  return Buffer.concat([...shown, view.end()]).toString('utf8');
}

const CASES: readonly [string, Partial<LogViewOptions>, string][] = [
  [
    'text is harmless and drops the first byte order mark',
    {},
    `${STAMP} first red\r\n${STAMP} second\n  continued \n\n\ufeff${LATER} third “ü”\n${LATER} last`,
  ],
  [
    'text keeps colours when they are wanted',
    { color: true, onlyLines: { from: 1, to: 1 } },
    `${STAMP} first ${ESC}[31mred${ESC}[0m\r\n`,
  ],
  ['raw is every byte', { format: 'raw' }, LOG.toString('utf8')],
  [
    'raw lines are every byte of them',
    { format: 'raw', onlyLines: { from: 1, to: 1 } },
    `\ufeff${STAMP} first ${ESC}[31mred${ESC}[0m\r\n`,
  ],
  ['one step', { onlySteps: new Set([1]) }, `${STAMP} first red\r\n${STAMP} second\n  continued \n\n`],
  ['another step', { onlySteps: new Set([2]) }, `\ufeff${LATER} third “ü”\n${LATER} last`],
  ['a step that is not there', { onlySteps: new Set([3]) }, ''],
  ['lines', { onlyLines: { from: 2, to: 4 } }, `${STAMP} second\n  continued \n\n`],
  ['lines from one on', { onlyLines: { from: 6, to: Infinity } }, `${LATER} last`],
  ['lines past the end', { onlyLines: { from: 7, to: 9 } }, ''],
  [
    'lines of a step',
    { onlySteps: new Set([2]), onlyLines: { from: 1, to: 5 } },
    `\ufeff${LATER} third “ü”\n`,
  ],
];

describe.each(CASES)('%s', (_name, options, expected) => {
  test.each([LOG.length, 64, 7, 3, 1])('in chunks of %d bytes', (chunkBytes) => {
    expect(show(options, LOG, chunkBytes)).toBe(expected);
  });
});

describe('as JSON', () => {
  test.each([LOG.length, 7, 1])(
    'each line has its number, step, time and text, in chunks of %d bytes',
    (chunkBytes) => {
      const lines = show({ format: 'json' }, LOG, chunkBytes).trimEnd().split('\n');
      expect(lines.map((line): unknown => JSON.parse(line))).toEqual([
        { line: 1, step: 1, time: STAMP, text: `first ${ESC}[31mred${ESC}[0m\r` },
        { line: 2, step: 1, time: STAMP, text: 'second' },
        { line: 3, step: 1, time: null, text: `  continued ${ESC}]0;x\u0007` },
        { line: 4, step: 1, time: null, text: '' },
        { line: 5, step: 2, time: LATER, text: 'third “ü”' },
        { line: 6, step: 2, time: LATER, text: 'last' },
      ]);
    },
  );

  test('nothing acts on a terminal, and bytes that are not UTF-8 are replaced', () => {
    const hostile = Buffer.concat([
      Buffer.from(`a\u009b\u202e\u007f${ESC}[2J"\\\u2028`),
      Buffer.from([0xff]),
    ]);
    const shown = show({ format: 'json' }, hostile);
    expect(shown).toMatch(/^[\x20-\x7e\ufffd]*\n$/);
    expect(JSON.parse(shown)).toMatchObject({
      step: null,
      text: `a\u009b\u202e\u007f${ESC}[2J"\\\u2028\ufffd`,
    });
  });

  test('a stamp is taken for one only in GitHub’s form', () => {
    const odd = [
      '2026-09-20T02:19:47Z a',
      `${STAMP}b`,
      '2026-99-20T02:19:47.8429278Z c',
      ` ${STAMP} d`,
      STAMP,
      `${STAMP} `,
    ];
    const times = show({ format: 'json' }, Buffer.from(odd.join('\n')))
      .trimEnd()
      .split('\n');
    expect(times.map((line): unknown => JSON.parse(line).time)).toEqual([
      null,
      null,
      null,
      null,
      STAMP,
      STAMP,
    ]);
  });
});

test.each<[string, string]>([
  ['', ''],
  ['\n', '\n'],
  ['\ufeff', ''],
  ['no line feed', 'no line feed'],
])('a log of %j is shown as %j, whole or selected', (log, expected) => {
  expect(show({}, Buffer.from(log))).toBe(expected);
  expect(show({ onlyLines: { from: 1, to: 9 } }, Buffer.from(log))).toBe(expected);
});

test('a line longer than any memory is not collected', () => {
  const view = createLogView({ format: 'json', color: false, steps: [], onlySteps: null, onlyLines: null });
  const chunk = Buffer.alloc(65_536, 'x');
  const lengths = Array.from({ length: 10 }, () => view.push(chunk).length);
  expect(lengths.slice(1)).toEqual(Array.from({ length: 9 }, () => chunk.length));
});

test('tells how many lines were selected, and where the line pointed at stands', () => {
  const view = createLogView({
    format: 'text',
    color: false,
    steps: STEPS,
    onlySteps: new Set([2]),
    onlyLines: null,
    pointedAt: 2,
  });
  view.push(LOG);
  view.end();
  expect([view.selectedLines(), view.pointedLine()]).toEqual([2, 6]);
});

test.each([
  ['100-140', { from: 100, to: 140 }],
  ['7', { from: 7, to: 7 }],
  ['7-', { from: 7, to: Infinity }],
  ['-7', { from: 1, to: 7 }],
  ['7-7', { from: 7, to: 7 }],
  ['0', null],
  ['0-5', null],
  ['5-4', null],
  ['-', null],
  ['', null],
  ['1,2', null],
  ['a-b', null],
])('lines %j', (text, range) => {
  expect(parseLineRange(text)).toEqual(range);
});
