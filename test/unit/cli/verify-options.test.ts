import { expect, test } from 'vitest';
import { parseTerms, type VerifyCommandOptions } from '../../../src/cli/evidence/verify-options.ts';

const NOW = new Date('2026-11-21T12:00:00Z');
const KEY = 'ab'.repeat(32);

test('without options everything is read of an archive whose keys are believed', () => {
  expect(parseTerms({}, NOW)).toEqual({
    isBundle: false,
    level: 'bytes',
    sample: null,
    range: { fromMs: null, toMs: null },
    pinnedKeyId: null,
  });
});

test('a fingerprint is taken as tools print it', () => {
  const printed = [KEY, KEY.toUpperCase(), `SHA256:${KEY}`, 'AB:'.repeat(31) + 'AB'];
  for (const key of printed) expect(parseTerms({ key }, NOW).pinnedKeyId).toBe(KEY);
});

test('days end at their end where they end a range', () => {
  const { range } = parseTerms({ from: '2026-11-19', to: '2026-11-20' }, NOW);
  expect(range).toEqual({
    fromMs: Date.parse('2026-11-19T00:00:00Z'),
    toMs: Date.parse('2026-11-20T23:59:59.999Z'),
  });
});

test('a sample leaves the other entries to the ledger, or to the heads where they are asked for', () => {
  expect(parseTerms({ sample: '10' }, NOW)).toMatchObject({ level: 'ledger', sample: 10 });
  expect(parseTerms({ sample: '10', level: 'bytes' }, NOW)).toMatchObject({ level: 'ledger', sample: 10 });
  expect(parseTerms({ sample: '10', level: 'heads' }, NOW)).toMatchObject({ level: 'heads', sample: 10 });
});

test.each<[VerifyCommandOptions, string]>([
  [{ level: 'all' }, '--level takes ledger, heads, bytes'],
  [{ sample: '0' }, '--sample takes a number from 1 to 100,000'],
  [{ sample: '1e3' }, '--sample takes a number from 1 to 100,000'],
  [{ key: 'abc' }, '--key takes the SHA-256 of a key in 64 hex digits'],
  [{ from: 'tomorrow' }, '--from takes 2026-11-20'],
  [{ to: '2026-02-30' }, '--to takes 2026-11-20'],
  [{ from: '1h', to: '2h' }, '--from is later than --to'],
  [{ bundle: '.', archive: '.' }, '--bundle and --archive exclude each other'],
  [{ bundle: '.', record: true }, '--record goes with an archive'],
])('%j is refused with its cure', (options, problem) => {
  expect(() => parseTerms(options, NOW)).toThrow(problem);
});

test('all problems are told at once', () => {
  expect(() => parseTerms({ level: 'x', key: 'y' }, NOW)).toThrow(/--level takes .*\n.*--key takes/);
});
