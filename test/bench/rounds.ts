/** How often everything is measured, and for how long. */
export interface Extent {
  readonly quick: boolean;
  /** Rounds, each of which measures every contestant once. */
  readonly rounds: number;
  /** Takes a count for a full run and one for a quick run. */
  scaled(full: number, quick: number): number;
}

const ROUNDS_FULL = 5;
const ROUNDS_QUICK = 2;

export function extentOf(quick: boolean): Extent {
  return {
    quick,
    rounds: quick ? ROUNDS_QUICK : ROUNDS_FULL,
    scaled: (full, short) => (quick ? short : full),
  };
}

/**
 * Measures every contestant once a round, in a different order each time, so that a slow minute of the machine falls on all
 * alike. Answers each one's samples in the order of the rounds.
 */
export async function interleaved<Name extends string, Sample>(
  rounds: number,
  contestants: Readonly<Record<Name, () => Promise<Sample>>>,
): Promise<(name: Name) => readonly Sample[]> {
  const samples = new Map<string, Sample[]>();
  const turns = Object.entries<() => Promise<Sample>>(contestants);
  for (let round = 0; round < rounds; round += 1) {
    for (let turn = 0; turn < turns.length; turn += 1) {
      const [name, measure] = turns[(round + turn) % turns.length] ?? [];
      if (name === undefined || measure === undefined) throw new Error('a turn without a contestant');
      const sample = await measure();
      samples.set(name, [...(samples.get(name) ?? []), sample]);
    }
  }
  return (name) => {
    const found = samples.get(name);
    if (found === undefined) throw new Error(`${name} was not measured`);
    return found;
  };
}
