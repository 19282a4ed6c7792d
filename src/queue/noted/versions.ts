import type { KeyValueNotes } from '../key-value-notes.ts';

/** Which versions of Everlog have used this queue: whoever meets what he does not know can say whose it is. */

const TABLE = 'versions';

/** Notes that this version uses the queue. */
export async function noteVersion(
  notes: Pick<KeyValueNotes, 'setField'>,
  version: string,
  now: Date,
): Promise<void> {
  await notes.setField(TABLE, version, now.toISOString());
}

/** The newest version that has used the queue and is newer than `own`; null when none is, or the queue was lost since. */
export async function readNewerVersion(
  notes: Pick<KeyValueNotes, 'fields'>,
  own: string,
): Promise<string | null> {
  const versions = Object.keys(await notes.fields(TABLE));
  return (
    versions
      .filter((one) => compareVersions(one, own) > 0)
      .sort(compareVersions)
      .at(-1) ?? null
  );
}

/** Less than 0 where `one` is the older. By their numbers; `1.2.0-rc.1` comes before `1.2.0`, and what is no version first. Pure. */
export function compareVersions(one: string, other: string): number {
  const [numbers, others] = [numbersOf(one), numbersOf(other)];
  for (const [index, number] of numbers.entries()) {
    const difference = number - (others[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function numbersOf(version: string): readonly number[] {
  const [, major, minor, patch, suffix] = /^(\d+)\.(\d+)\.(\d+)([-+].*)?$/.exec(version) ?? [];
  if (major === undefined) return [-1, 0, 0, 0];
  return [Number(major), Number(minor), Number(patch), suffix?.startsWith('-') === true ? 0 : 1];
}
