import { describe, expect, test } from 'vitest';
import {
  clearSealFindings,
  noteSealFindings,
  readSealFindings,
  SEALS_NOTED_MAX,
} from '../../../src/queue/noted/seal-findings.ts';
import type { KeyValueNotes } from '../../../src/queue/key-value-notes.ts';

function memoryTable(): Pick<KeyValueNotes, 'setField' | 'fields'> {
  const table = new Map<string, string>();
  return {
    setField(_, field, text) {
      if (text === null) table.delete(field);
      else table.set(field, text);
      return Promise.resolve();
    },
    fields: () => Promise.resolve(Object.fromEntries(table)),
  };
}

function at(minute: number): Date {
  return new Date(Date.UTC(2026, 10, 28, 9, minute));
}

describe('what seals found', () => {
  test('stands until a verification that began later clears it, and counts once', async () => {
    const notes = memoryTable();
    expect(await readSealFindings(notes)).toBe(0);
    await noteSealFindings(notes, 'digest 7', 2, at(0));
    // The sealer ended before its commit, and the next one finds the same.
    await noteSealFindings(notes, 'digest 7', 2, at(1));
    await noteSealFindings(notes, 'digest 9', 1, at(3));
    expect(await readSealFindings(notes)).toBe(3);
    await clearSealFindings(notes, at(2));
    expect(await readSealFindings(notes)).toBe(1);
    await clearSealFindings(notes, at(4));
    expect(await readSealFindings(notes)).toBe(0);
  });

  test('is bounded: the oldest go', async () => {
    const notes = memoryTable();
    for (let seal = 0; seal < SEALS_NOTED_MAX + 2; seal += 1)
      await notes.setField(
        'seal-findings',
        `digest ${seal}`,
        `{"at":"${at(seal).toISOString()}","findings":1}`,
      );
    await noteSealFindings(notes, 'second place', 5, at(90 * 24 * 60));
    expect(Object.keys(await notes.fields('seal-findings'))).toHaveLength(SEALS_NOTED_MAX);
    expect(await readSealFindings(notes)).toBe(SEALS_NOTED_MAX + 4);
    expect(Object.keys(await notes.fields('seal-findings'))).not.toContain('digest 2');
  });
});
