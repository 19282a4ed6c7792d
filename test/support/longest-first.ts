import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * Whole processes take longest, so their files begin first, and none of them is left over when the others have ended. Crash tests
 * mostly wait and end-to-end tests mostly compute, as do contract and integration tests: one beside the other keeps both cores busy.
 */
const ORDER: readonly (readonly string[])[] = [['unit'], ['crash', 'e2e'], ['contract', 'integration']];

/** Orders test files by project and name: the same in every run, as no earlier run's times are looked at. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const places = ORDER.flatMap((names, order) =>
      names.flatMap((name) => {
        const own = files.filter(({ project }) => project.name === name).toSorted(byName);
        return own.map((file, index) => ({ file, order, at: index / own.length }));
      }),
    );
    return places
      .toSorted((one, other) => one.order - other.order || one.at - other.at)
      .map(({ file }) => file);
  }
}

function byName(one: TestSpecification, other: TestSpecification): number {
  return one.moduleId < other.moduleId ? -1 : Number(one.moduleId > other.moduleId);
}
