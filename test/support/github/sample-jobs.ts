import type { Simulator } from '../../../src/simulator/simulator.ts';

/** Sizes around every threshold: none at all, one byte, one synchronous call, memory, one blob block. */
export const SAMPLE_SIZES = [0, 1, 1_000, 40_000, 65_535, 65_536, 65_537, 300_000, 1_048_576, 2_097_153];

/** A log of exactly so many bytes, unlike that of any other job. */
export function sampleLog(bytes: number, index: number): Buffer {
  const line = `2026-11-20T10:11:12.1234567Z job ${index} says \u001B[32mhéllo\u001B[0m at ${index * 7_919}\n`;
  return Buffer.from(line.repeat(Math.ceil(bytes / line.length))).subarray(0, bytes);
}

/**
 * Adds jobs that have ended, each in a run of its own, over three repositories of one installation. Where `log` gives
 * none, the simulated runner writes one.
 */
export function addSampleJobs(
  simulator: Simulator,
  count: number,
  log: (index: number) => Buffer | undefined,
): number[] {
  const { world } = simulator;
  const installation = world.addInstallation({ login: 'Octo-Org' });
  const repositories = ['api', 'Web.App', 'infra_tools'].map((name) =>
    world.addRepository({ name, installationId: installation.id }),
  );
  return Array.from({ length: count }, (_, index) => {
    const { id: runId } = world.run(
      world.addRun({ repositoryId: repositories[index % repositories.length]?.id ?? 0 }),
    );
    const bytes = log(index);
    const job = world.addJob({
      runId,
      name: `build (${index}, "ünïcode/№")`,
      conclusion: index % 5 === 0 ? 'failure' : 'success',
      ...(bytes === undefined ? {} : { log: bytes }),
    });
    return job.facts.id;
  });
}
