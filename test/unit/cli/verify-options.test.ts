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
    selection: null,
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

const PAGE = 'https://ghe.example/octo-org/app/actions/runs/7/attempts/2/job/8';

test.each<[VerifyCommandOptions, object]>([
  [{ job: '8' }, { kind: 'job', host: null, jobId: 8 }],
  [{ job: PAGE }, { kind: 'job', host: 'ghe.example', jobId: 8 }],
  [{ run: PAGE }, { kind: 'run', host: 'ghe.example', runId: 7 }],
  [{ run: 'github.com/7' }, { kind: 'run', host: 'github.com', runId: 7 }],
  [{ repo: 'octo-org/app' }, { kind: 'repository', host: null, owner: 'octo-org', repo: 'app' }],
  [{ repo: PAGE }, { kind: 'repository', host: 'ghe.example', owner: 'octo-org', repo: 'app' }],
])('%j selects %j', (options, selection) => {
  expect(parseTerms(options, NOW).selection).toEqual(selection);
});

test.each<[VerifyCommandOptions, string]>([
  [{ level: 'all' }, '--level takes ledger, heads, bytes'],
  [{ sample: '0' }, '--sample takes a number from 1 to 100,000'],
  [{ sample: '1e3' }, '--sample takes a number from 1 to 100,000'],
  [{ key: 'abc' }, '--key takes the SHA-256 of a key in 64 hex digits'],
  [{ from: 'tomorrow' }, '--from takes 2026-11-20'],
  [{ to: '2026-02-30' }, '--to takes 2026-11-20'],
  [{ from: '1h', to: '2h' }, '--from is later than --to'],
  [{ job: '1', run: '2' }, 'give one of --job, --run and --repo'],
  [{ job: 'octo-org/app/actions/runs/7' }, '--job names a run: give it with --run'],
  [{ run: 'https://github.com/octo-org/app/runs/7' }, '--run names a job: give it with --job'],
  [{ job: 'x y' }, '--job x y: this is neither an address nor an id'],
  [{ repo: 'octo' }, '--repo takes OWNER/REPO'],
  [{ bundle: '.', archive: '.' }, '--bundle and --archive exclude each other'],
  [{ bundle: '.', record: true }, '--record goes with an archive'],
])('%j is refused with its cure', (options, problem) => {
  expect(() => parseTerms(options, NOW)).toThrow(problem);
});

test('all problems are told at once', () => {
  expect(() => parseTerms({ level: 'x', key: 'y' }, NOW)).toThrow(/--level takes .*\n.*--key takes/);
});
