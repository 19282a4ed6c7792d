import { expect, test } from 'vitest';
import type { ListedVersion, ObjectStore } from '../../src/store/object-store.ts';
import { put, RECORD, textBody, textOf } from './object-samples.ts';

const KEPT = { bypassGovernance: false };
const BYPASSING = { bypassGovernance: true };

/** What every adapter promises about legal holds and removal; `it` answers the store of the running test. */
export function removalContract(facts: { versions: boolean; locks: boolean }, it: () => ObjectStore): void {
  async function stored(key: string, text: string): Promise<string | null> {
    const created = await it().putIfAbsent(key, textBody(text), RECORD);
    if (created.outcome !== 'created') throw new Error(`${key} was there already`);
    return created.versionId;
  }

  test('removes an object for good, and says so', async () => {
    const versionId = await stored('v1/r/one.json', '1');
    await put(it(), 'v1/r/other.json', '2');
    expect(await it().remove('v1/r/one.json', versionId, KEPT)).toBe('removed');
    expect(await it().head('v1/r/one.json')).toBeNull();
    expect((await versionsBelow(it(), 'v1/r/')).map(({ key }) => key)).toEqual(['v1/r/other.json']);
    expect(await it().remove('v1/r/one.json', versionId, KEPT)).toBe('missing');
    expect(await it().remove('v1/r/one.json', null, BYPASSING)).toBe('missing');
    expect(await it().remove('never/there', null, KEPT)).toBe('missing');
    expect(await put(it(), 'v1/r/one.json', 'another')).toBe('created');
  });

  test('never hides an object behind a delete marker', async () => {
    const versionId = await stored('v1/r/one.json', '1');
    const removed = await it().remove('v1/r/one.json', null, KEPT);
    expect(removed).toBe(facts.versions ? 'missing' : 'removed');
    const left = await versionsBelow(it(), 'v1/r/');
    expect(left.some(({ isDeleteMarker }) => isDeleteMarker)).toBe(false);
    expect(left.map((version) => version.versionId)).toEqual(facts.versions ? [versionId] : []);
  });

  if (facts.versions) {
    test('removes the version named and no other', async () => {
      const versionId = await stored('v1/r/one.json', '1');
      for (const foreign of ['no such id', `${versionId?.slice(1)}x`]) {
        expect(await it().remove('v1/r/one.json', foreign, BYPASSING)).toBe('missing');
      }
      expect(await textOf(await it().read('v1/r/one.json'))).toBe('1');
    });
  }

  test('tells that there is no lock, and nothing where there is no object', async () => {
    const versionId = await stored('v1/r/one.json', '1');
    expect(await it().lockOf('v1/r/one.json')).toBeNull();
    expect(await it().lockOf('v1/r/one.json', versionId ?? undefined)).toBeNull();
    expect(await it().lockOf('never/there')).toBeNull();
  });

  if (!facts.locks) {
    test('says that it keeps no legal holds', async () => {
      const versionId = await stored('v1/r/one.json', '1');
      expect(await it().setLegalHold('v1/r/one.json', versionId, true)).toBe('unsupported');
      expect(await it().lockOf('v1/r/one.json')).toBeNull();
      expect(await it().remove('v1/r/one.json', versionId, KEPT)).toBe('removed');
    });
    return;
  }

  test('a legal hold forbids removal, to everybody, until it is taken off', async () => {
    const versionId = await stored('v1/r/one.json', '1');
    expect(await it().setLegalHold('v1/r/one.json', versionId, true)).toBe('done');
    expect(await it().setLegalHold('v1/r/one.json', versionId, true)).toBe('done');
    const held = { mode: null, retainUntil: null, legalHold: true };
    expect(await it().lockOf('v1/r/one.json', versionId ?? undefined)).toEqual(held);
    expect(await it().lockOf('v1/r/one.json')).toEqual(held);
    for (const options of [KEPT, BYPASSING]) {
      expect(await it().remove('v1/r/one.json', versionId, options)).toBe('locked');
    }
    expect(await textOf(await it().read('v1/r/one.json'))).toBe('1');
    expect(await it().setLegalHold('v1/r/one.json', null, false)).toBe('done');
    expect(await it().lockOf('v1/r/one.json')).toBeNull();
    expect(await it().remove('v1/r/one.json', versionId, KEPT)).toBe('removed');
    expect(await it().setLegalHold('v1/r/one.json', versionId, true)).toBe('missing');
    expect(await it().setLegalHold('never/there', null, false)).toBe('missing');
  });
}

async function versionsBelow(store: ObjectStore, prefix: string): Promise<ListedVersion[]> {
  const versions: ListedVersion[] = [];
  for await (const version of store.listVersions(prefix)) versions.push(version);
  return versions;
}
