import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { spawnManaged, type ManagedProcess } from '../support/processes/processes.ts';

/** Ticks of the kernel's CPU accounting in a second, on every Linux that Node supports. */
const TICKS_PER_SECOND = 100;

/** Where a process may run: what is measured has a core to itself, and whatever drives it takes the others. */
export type Place = 'measured' | 'driving' | 'anywhere';

const CORES = availableParallelism();

/** Moves this process off the core that what is measured runs on. */
export function standAside(): void {
  if (CORES > 1) execFileSync('taskset', ['-a', '-cp', `0-${CORES - 2}`, String(process.pid)]);
}

/** A child of the benchmark, kept in its place. */
export function spawnIn(
  place: Place,
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): ManagedProcess {
  if (CORES === 1 || place === 'anywhere') {
    // Children inherit where the benchmark itself may run, which is not what is wanted here.
    return spawnManaged('taskset', ['-c', `0-${CORES - 1}`, command, ...args], { env });
  }
  const cores = place === 'measured' ? String(CORES - 1) : `0-${CORES - 2}`;
  return spawnManaged('taskset', ['-c', cores, command, ...args], { env });
}

/** CPU time that a process has used so far, in microseconds, all threads and both modes. */
export function cpuUsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  // The name may hold anything, so fields are counted behind its closing bracket.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[11]) + Number(fields[12]);
  return (ticks / TICKS_PER_SECOND) * 1_000_000;
}

/** What the numbers were measured on. */
export function machine(): Record<string, string | number> {
  return { cores: CORES, cpu: cpus()[0]?.model ?? 'unknown', node: process.version };
}
