import type { Command } from 'commander';
export function registerDemo(_program: Command, _done: (exit: number) => void): void {}
