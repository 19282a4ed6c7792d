import type { Reporter, SerializedError, TestModule } from 'vitest/node';

/**
 * Ends a run with one plain line, `12 passed, 0 failed` (and `, 1 skipped`), for whoever reads the output by program.
 * What failed outside a test, such as a file that cannot be loaded, counts as failed: a broken run never ends in `0 failed`.
 */
export function closingLine(): Reporter {
  return {
    onTestRunEnd(modules, unhandled) {
      const line = summarise(modules, unhandled);
      // Services are stopped after this, and may have a word to say; the line is the last.
      process.once('exit', () => process.stdout.write(`\n${line}\n`));
    },
  };
}

function summarise(modules: readonly TestModule[], unhandled: readonly SerializedError[]): string {
  const counts = { passed: 0, failed: unhandled.length, skipped: 0 };
  for (const module of modules) {
    counts.failed += module.errors().length;
    for (const suite of module.children.allSuites()) counts.failed += suite.errors().length;
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      // A test that never got to run was cut off.
      counts[state === 'pending' ? 'failed' : state] += 1;
    }
  }
  const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : '';
  return `${counts.passed} passed, ${counts.failed} failed${skipped}`;
}
