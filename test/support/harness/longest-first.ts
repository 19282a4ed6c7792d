import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * When the last file of a project begins, as a share of the run. Crash and end-to-end tests take longest and compute most, so
 * they are through by half of it, each beside tests that mostly wait: both cores are busy, and no long file is left over at the end.
 */
const LAST_BEGINS_AT: Readonly<Record<string, number>> = {
  unit: 0,
  crash: 0.5,
  e2e: 0.5,
  contract: 1,
  integration: 1,
};

/** Orders test files by project and name: the same in every run, as no earlier run's times are looked at. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const places = Object.entries(LAST_BEGINS_AT).flatMap(([name, last]) => {
      const own = files.filter(({ project }) => project.name === name).toSorted(byName);
      return own.map((file, index) => ({ file, at: (last * index) / own.length }));
    });
    return places.toSorted((one, other) => one.at - other.at).map(({ file }) => file);
  }
}

function byName(one: TestSpecification, other: TestSpecification): number {
  return one.moduleId < other.moduleId ? -1 : Number(one.moduleId > other.moduleId);
}
