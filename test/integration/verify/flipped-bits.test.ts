import { beforeAll, expect, test } from 'vitest';
import { scaled } from '../../support/harness/everlog-under-test.ts';
import { folderPut, makeLedger, type LedgerMaker } from '../../support/oracles/ledger-maker.ts';
import { temporaryFolder } from '../../support/processes/processes.ts';
import { seededRandom } from '../../../src/simulator/random.ts';
import {
  fileAt,
  findingsOf,
  oneOf,
  verifyFolder,
  withFlippedBit,
} from '../../support/harness/verify-under-test.ts';

/** One bit in many files of each kind: each is found, in the right class, and nothing else is accused. */

const COUNT = scaled(20, 100);
/** Of kinds that are rarer. */
const FEWER = scaled(5, 100);
const TIMEOUT_MS = 60_000;
const random = seededRandom(20_261_121);
const folder = temporaryFolder();
let maker: LedgerMaker;

beforeAll(async () => {
  const archive = `file:${folder}`;
  maker = await makeLedger(folderPut(folder), { archive, digests: 3, jobs: 2, endMs: Date.now() });
});

async function flipped(choose: () => { key: string; word: string }, times = COUNT): Promise<void> {
  for (let count = 0; count < times; count += 1) {
    const { key, word } = choose();
    const file = fileAt(folder, key);
    file.write(withFlippedBit(file.bytes, random));
    const verified = await verifyFolder(folder, { pinnedKeyId: maker.key.id });
    expect(findingsOf(verified)).toEqual([`${word} ${key}`]);
    expect(verified.summary).toMatchObject({ result: 'FINDINGS', findings: 1 });
    file.restore();
  }
}

test('nothing is found while nothing is wrong', async () => {
  const verified = await verifyFolder(folder, { pinnedKeyId: maker.key.id });
  expect(verified.lines).toEqual(['UNANCHORED ledger/digests/0000000003/digest.json']);
  // Three digests with their entries files, six records with their logs.
  expect(verified.summary).toMatchObject({ result: 'VALID', findings: 0, results: { VALID: 18 } });
});

test(
  'a bit of a log',
  () => flipped(() => ({ key: oneOf(maker.jobs, random).logKey, word: 'MODIFIED' })),
  TIMEOUT_MS,
);

test(
  'a bit of a record',
  () => flipped(() => ({ key: oneOf(maker.jobs, random).recordKey, word: 'MODIFIED' })),
  TIMEOUT_MS,
);

test(
  'a bit of an entries file',
  () => flipped(() => ({ key: oneOf(maker.digests, random).entriesKey, word: 'MODIFIED' })),
  TIMEOUT_MS,
);

test(
  'a bit of a digest',
  () => flipped(() => ({ key: oneOf(maker.digests, random).key, word: 'MODIFIED' })),
  TIMEOUT_MS,
);

test(
  'a bit of a signature',
  () => flipped(() => ({ key: oneOf(maker.digests, random).signatureKey, word: 'BAD_SIGNATURE' })),
  TIMEOUT_MS,
);

test(
  'a bit of a note',
  () => flipped(() => ({ key: oneOf(maker.digests, random).noteKey, word: 'BAD_SIGNATURE' }), FEWER),
  TIMEOUT_MS,
);
