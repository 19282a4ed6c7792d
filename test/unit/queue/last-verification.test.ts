import { describe, expect, test } from 'vitest';
import {
  noteVerification,
  readLastVerification,
  supersedes,
  type LastVerification,
} from '../../../src/queue/noted/last-verification.ts';

const AT = new Date('2026-11-28T09:00:00.000Z');

function verification(changes: Partial<LastVerification> = {}): LastVerification {
  return { at: AT, findings: 0, isWhole: true, depth: 2, ...changes };
}

describe('what a later verification clears', () => {
  test.each([
    ['nothing is noted', verification({ isWhole: false, depth: 0 }), null, true],
    ['it saw as much', verification(), verification({ findings: 3 }), true],
    ['it looked at a part', verification({ isWhole: false }), verification({ findings: 3 }), false],
    ['it looked less closely', verification({ depth: 0 }), verification({ findings: 3 }), false],
    ['it looked at all of what was seen in part', verification(), verification({ isWhole: false }), true],
    [
      'it found something in a part',
      verification({ isWhole: false, depth: 0, findings: 1 }),
      verification(),
      true,
    ],
  ])('%s', (_, later, noted, cleared) => {
    expect(supersedes(later, noted)).toBe(cleared);
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
