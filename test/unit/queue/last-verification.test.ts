import { describe, expect, test } from 'vitest';
import {
  noteVerification,
  readLastVerification,
  standingAfter,
  type LastVerification,
} from '../../../src/queue/noted/last-verification.ts';

const AT = new Date('2026-11-28T09:00:00.000Z');

function verification(changes: Partial<LastVerification> = {}): LastVerification {
  return { at: AT, findings: 0, isWhole: true, depth: 2, ...changes };
}

describe('what counts after a later verification', () => {
  const found = verification({ findings: 3 });
  const late = new Date('2026-11-28T10:00:00.000Z');
  test.each([
    ['nothing was noted', verification({ isWhole: false, depth: 0 }), null, 'later'],
    ['it saw as much', verification({ at: late }), found, 'later'],
    ['it looked at a part', verification({ isWhole: false }), found, 'noted'],
    ['it looked less closely', verification({ depth: 0 }), found, 'noted'],
    [
      'it looked at all of what was seen in part',
      verification(),
      verification({ isWhole: false, findings: 1 }),
      'later',
    ],
    ['it found something in a part', verification({ isWhole: false, findings: 1 }), verification(), 'later'],
    ['there was nothing to be cleared', verification({ at: late, depth: 0 }), verification(), 'later'],
  ])('where %s', (_, later, noted, stands) => {
    expect(standingAfter(later, noted)).toEqual(stands === 'later' ? later : noted);
  });

  test('a finding of a part takes the place of none of the whole, and what clears it does not clear those', () => {
    const part = { isWhole: false, depth: 0 };
    const both = standingAfter(verification({ ...part, at: late, findings: 1 }), found);
    expect(both).toEqual({ at: late, findings: 3, isWhole: true, depth: 2 });
    expect(standingAfter(verification(part), both)).toEqual(both);
    expect(standingAfter(verification(), both).findings).toBe(0);
    const ledger = verification({ depth: 0, findings: 5 });
    const sample = verification({ isWhole: false, findings: 1 });
    expect(standingAfter(ledger, sample)).toMatchObject({ findings: 5, isWhole: true, depth: 2 });
  });

  test('is noted, and read back as it was', async () => {
    const texts = new Map<string, string>();
    const notes = {
      note: (name: string, text: string) => Promise.resolve(void texts.set(name, text)),
      noted: (names: readonly string[]) => Promise.resolve(names.map((name) => texts.get(name) ?? null)),
    };
    expect(await readLastVerification(notes)).toBeNull();
    const found = verification({ findings: 3 });
    await noteVerification(notes, found);
    await noteVerification(notes, verification({ isWhole: false }));
    expect(await readLastVerification(notes)).toEqual(found);
    await noteVerification(notes, verification());
    expect(await readLastVerification(notes)).toEqual(verification());
  });
});
