import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { Digests } from '../../src/ledger/export/digests.ts';
import { findSealed, type SoughtObject } from '../../src/ledger/export/find-sealed.ts';
import { makeArchive, makeRecord, put, storeRecord } from '../support/oracles/archived-jobs.ts';
import { beginLedger } from '../support/oracles/small-ledger.ts';

const HOUR_MS = 3_600_000;
const START_MS = Date.UTC(2026, 0, 1);
/** One record in each. */
const DIGESTS = 40;

let store: ObjectStore;
let keys: string[];

/** Digest n holds record n and ends n hours after the start. */
beforeEach(async () => {
  store = await makeArchive();
  keys = [];
  const ledger = await beginLedger(store, at(0));
  for (let job = 1; job <= DIGESTS; job += 1) {
    const key = await storeRecord(store, makeRecord({ job_id: job, outcome: 'unavailable' }));
    keys.push(key);
    await ledger.seal(at(job), job % 10 === 0 ? [] : [key]);
  }
});

function at(hours: number): string {
  return new Date(START_MS + hours * HOUR_MS).toISOString();
}

/** Record n, said to be written so many hours after the start. */
function sought(job: number, writtenHours: number): SoughtObject {
  return { key: keys[job - 1] ?? '', writtenMs: START_MS + writtenHours * HOUR_MS };
}

async function search(wanted: readonly SoughtObject[]) {
  const found = new Map<string, number>();
  const problems: string[] = [];
  const lookedInto: number[] = [];
  const told: string[] = [];
  const digests = new Digests(store, (key, problem) => told.push(`${key}: ${problem}`));
  const missing = await findSealed(store, digests, wanted, {
    onLines: ({ sequence }, lines) => {
      for (const { entry } of lines) found.set(entry.key, sequence);
      return Promise.resolve();
    },
    onProblem: ({ sequence }, problem) => problems.push(`${sequence}: ${problem}`),
    onDigest: (sequence) => lookedInto.push(sequence),
  });
  return { found, missing: [...missing], problems, lookedInto, told };
}

test('each object is found in the first digest after it was written, and only that one is looked into', async () => {
  const result = await search([sought(37, 36.5), sought(2, 1.5), sought(25, 24.5)]);
  expect(Object.fromEntries(result.found)).toEqual({
    [keys[1] ?? '']: 2,
    [keys[24] ?? '']: 25,
    [keys[36] ?? '']: 37,
  });
  expect(result.lookedInto).toEqual([2, 25, 37]);
  expect(result.missing).toEqual([]);
});

test('an object that was sealed late is found by going on', async () => {
  const result = await search([sought(9, 2.5)]);
  expect(result.found.get(keys[8] ?? '')).toBe(9);
  expect(result.lookedInto).toEqual([3, 4, 5, 6, 7, 8, 9]);
});

test('an object is found whose writer’s clock was hours ahead', async () => {
  const result = await search([sought(9, 20)]);
  expect(result.found.get(keys[8] ?? '')).toBe(9);
});

test('what is younger than the ledger is in no digest, and nothing is read for it', async () => {
  const result = await search([sought(10, 41)]);
  expect(result).toMatchObject({ missing: [keys[9]], lookedInto: [] });
});

describe('a ledger with holes', () => {
  test('goes on behind them', async () => {
    remove(3, 30);
    const result = await search([sought(35, 34.5), sought(2, 1.5), sought(12, 11.5)]);
    expect([...result.found.values()]).toEqual([2, 35]);
    expect(result.missing).toEqual([keys[11]]);
  });

  test('of digests that cannot be read, names them', async () => {
    const folder = join(store.location.slice('file:'.length), 'ledger/digests/0000000005');
    rmSync(join(folder, 'digest.json'));
    await put(
      store,
      'ledger/digests/0000000005/digest.json',
      Buffer.from('{"schema":"everlog.digest/v1"}\n'),
    );
    const result = await search([sought(5, 4.5), sought(6, 5.5)]);
    expect([...result.found.values()]).toEqual([6]);
    expect(result.told).toEqual([expect.stringMatching(/0000000005\/digest\.json: not a digest \(sequence/)]);
  });

  test('an empty ledger holds nothing', async () => {
    remove(1, DIGESTS);
    expect((await search([sought(1, 0)])).missing).toEqual([keys[0]]);
  });
});

test('entries that are not those of their digest are not believed', async () => {
  const folder = join(store.location.slice('file:'.length), 'ledger/digests/0000000004');
  const name = entriesIn(folder);
  rmSync(join(folder, name));
  const other = entriesIn(join(folder, '../0000000005'));
  const bytes = await store.read(`ledger/digests/0000000005/${other}`);
  const chunks: Buffer[] = [];
  for await (const chunk of bytes?.body ?? []) chunks.push(Buffer.from(chunk));
  await put(store, `ledger/digests/0000000004/${name}`, Buffer.concat(chunks));
  const result = await search([sought(4, 3.5)]);
  expect(result.problems).toContainEqual('4: its entries file is not the one it was made of');
  expect(result.missing).toEqual([keys[3]]);
});

function remove(from: number, to: number): void {
  for (let sequence = from; sequence <= to; sequence += 1) {
    const name = String(sequence).padStart(10, '0');
    rmSync(join(store.location.slice('file:'.length), `ledger/digests/${name}`), { recursive: true });
  }
}

function entriesIn(folder: string): string {
  return readdirSync(folder).find((name) => name.endsWith('.gz')) ?? '';
}
