import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import { closingLine } from './test/support/harness/closing-line.ts';
import { LongestFirst } from './test/support/harness/longest-first.ts';

const SECOND_MS = 1_000;
/** On a larger machine too, so that timing is the same everywhere. One test of a soak keeps both cores busy. */
const WORKERS_MAX = process.env['SOAK'] === '1' ? 2 : 4;
/** A pure test that takes this long hangs. */
const UNIT_TIMEOUT_MS = 10 * SECOND_MS;
/** Real servers on two busy cores. */
const SERVICE_TIMEOUT_MS = 60 * SECOND_MS;
/** Whole processes, killed and started again, with hundreds of jobs between. */
const PROCESS_TIMEOUT_MS = 240 * SECOND_MS;

/** Real Redis, real S3 and real child processes: what a test asks for is started once per run. */
const services = ['test/support/servers/global-services.ts'];

export default defineConfig({
  test: {
    pool: 'forks',
    // Tests mostly wait for the processes and services they started, so that two cores carry four; the default would be one.
    maxWorkers: WORKERS_MAX,
    reporters: ['default', closingLine()],
    sequence: { sequencer: LongestFirst },
    // The quick ones first; files within a group run side by side.
    projects: [
      // What is pure leaves nothing behind for the next file, so that no file needs a process of its own.
      project('unit', { testTimeout: UNIT_TIMEOUT_MS, isolate: false, sequence: { groupOrder: 0 } }),
      project('contract', {
        testTimeout: SERVICE_TIMEOUT_MS,
        globalSetup: services,
        sequence: { groupOrder: 1 },
      }),
      project('integration', {
        testTimeout: SERVICE_TIMEOUT_MS,
        globalSetup: services,
        sequence: { groupOrder: 1 },
      }),
      project('crash', {
        testTimeout: PROCESS_TIMEOUT_MS,
        globalSetup: services,
        sequence: { groupOrder: 1 },
      }),
      project('e2e', {
        testTimeout: PROCESS_TIMEOUT_MS,
        globalSetup: services,
        sequence: { groupOrder: 1 },
      }),
    ],
  },
});

type ProjectOptions = NonNullable<TestProjectInlineConfiguration['test']>;

function project(name: string, options: ProjectOptions): TestProjectInlineConfiguration {
  const timeoutMs = options.testTimeout;
  return {
    extends: true,
    test: {
      name,
      include: [`test/${name}/**/*.test.ts`],
      ...(timeoutMs === undefined ? {} : { hookTimeout: timeoutMs }),
      ...options,
    },
  };
}
