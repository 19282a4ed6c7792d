import type { ListedRun } from '../github/runs.ts';

/** Numbers that a workflow counted past and GitHub lists no run for: such runs were deleted before they were seen. */
export interface RunNumberGap {
  readonly workflow: string;
  readonly run_number: number;
}

/** Gaps told of one repository: information, not a reason to fill memory. */
const GAPS_MAX = 1_000;

/** Watches the numbers of a repository's runs, given oldest first, for ones that are left out. */
export class RunNumbers {
  private readonly highest = new Map<string, number>();
  private readonly missing = new Map<string, RunNumberGap>();

  see(runs: readonly ListedRun[]): void {
    const numbered = runs.flatMap(({ workflow, runNumber }) =>
      workflow === null || runNumber === null ? [] : [{ workflow, runNumber }],
    );
    for (const { workflow, runNumber } of numbered.toSorted((a, b) => a.runNumber - b.runNumber)) {
      // Runs of one second may come in any order, also from one page to the next.
      this.missing.delete(`${workflow} ${runNumber}`);
      const highest = this.highest.get(workflow);
      for (let left = (highest ?? runNumber) + 1; left < runNumber; left += 1) {
        if (this.missing.size >= GAPS_MAX) break;
        this.missing.set(`${workflow} ${left}`, { workflow, run_number: left });
      }
      this.highest.set(workflow, Math.max(highest ?? 0, runNumber));
    }
  }

  gaps(): readonly RunNumberGap[] {
    return [...this.missing.values()];
  }
}
