import { describe, expect, test } from 'vitest';
import { compareVersions, noteVersion, readNewerVersion } from '../../../src/queue/noted/versions.ts';
import { leaveToNewer, NEWER_VERSION_WAIT_MS_MAX } from '../../../workers/newer-version.ts';

const NOW = new Date('2026-11-28T09:00:00.000Z');
const PROBLEM = 'this version knows no job called mirror';

function noted(agoMs: number): object {
  return { code: 'newer_version', newer_version_since: new Date(NOW.getTime() - agoMs).toISOString() };
}

describe('what only a newer version knows', () => {
  test.each([
    ['for the first time', 0, NOW],
    ['behind another reason to wait', { code: 'spool_full', put_off_until: NOW.toISOString() }, NOW],
    ['just short of a week', noted(NEWER_VERSION_WAIT_MS_MAX - 1), null],
  ])('waits %s', (_, progress, expectedSince) => {
    const { error, since } = leaveToNewer(PROBLEM, progress, NOW, { own: '0.1.0', newer: null });
    expect(error).toMatchObject({ code: 'newer_version', remedy: { kind: 'wait' } });
    expect(error.message).toBe(`${PROBLEM}: left to a newer version of Everlog (one newer than 0.1.0)`);
    expect(since).toEqual(expectedSince ?? new Date(NOW.getTime() - NEWER_VERSION_WAIT_MS_MAX + 1));
  });

  test('fails after a week, and says which version it needs and how to go on', () => {
    const versions = { own: '0.1.0', newer: '0.3.0' };
    const { error } = leaveToNewer(PROBLEM, noted(NEWER_VERSION_WAIT_MS_MAX), NOW, versions);
    expect(error).toMatchObject({ code: 'newer_version', remedy: { kind: 'give_up' } });
    expect(error.message).toBe(
      `${PROBLEM}, and no newer version of Everlog has taken it in 7 days: it needs version 0.3.0, which has used this queue; this is 0.1.0: update the workers, then have it tried again with \`everlog failed retry\``,
    );
  });
});

test('the newest version is told by its numbers, and none that is no newer', async () => {
  const table = new Map<string, string>();
  const notes = {
    setField: (_: string, field: string, text: string | null) =>
      Promise.resolve(void table.set(field, text ?? '')),
    fields: () => Promise.resolve(Object.fromEntries(table)),
  };
  expect(await readNewerVersion(notes, '0.1.0')).toBeNull();
  for (const version of ['0.1.0', '0.0.9', 'unknown']) await noteVersion(notes, version, NOW);
  expect(await readNewerVersion(notes, '0.1.0')).toBeNull();
  for (const version of ['0.10.0', '0.9.12', '0.10.0-rc.1']) await noteVersion(notes, version, NOW);
  expect(await readNewerVersion(notes, '0.1.0')).toBe('0.10.0');
  expect(compareVersions('1.0.0-rc.1', '1.0.0')).toBeLessThan(0);
  expect(compareVersions('1.0.0+build', '1.0.0')).toBe(0);
});
