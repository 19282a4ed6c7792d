import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Whole processes take longest, so their files begin first, and none of them is left over when the others have ended. */
const ORDER = ['crash', 'e2e', 'integration', 'contract', 'unit'];

/** Orders test files by project, then by name: the same in every run, as no earlier run's times are looked at. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return files.toSorted(
      (one, other) => rankOf(one) - rankOf(other) || compare(one.moduleId, other.moduleId),
    );
  }
}

function rankOf({ project }: TestSpecification): number {
  return ORDER.indexOf(project.name);
}

function compare(one: string, other: string): number {
  return one < other ? -1 : Number(one > other);
}
