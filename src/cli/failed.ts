import type { Command } from 'commander';
export function registerFailed(_program: Command, _done: (exit: number) => void): void {}
