import type { Command } from 'commander';
export function registerReading(_program: Command, _done: (exit: number) => void): void {}
