#!/usr/bin/env node
import { CommanderError } from 'commander';
import { silenceSdk } from '../config.ts';
import { EverlogError, messageOf } from '../errors.ts';
import { buildProgram, withHelpAsOption } from './commands.ts';
import { EXIT, exitCodeOf } from './exit.ts';
import { tell } from './terminal/print.ts';

/** `everlog`: parses the command line, runs one command, and ends with its exit code. */

/** Where Node puts the first word after the program. */
const COMMAND_AT = 2;

async function main(argv: readonly string[]): Promise<number> {
  silenceSdk();
  let code: number = EXIT.ok;
  const words = argv.slice(COMMAND_AT);
  const program = await buildProgram(words[0], (exit) => {
    code = exit;
  });
  try {
    await program.parseAsync([...argv.slice(0, COMMAND_AT), ...withHelpAsOption(program, words)]);
    return code;
  } catch (error) {
    return reported(error);
  }
}

function reported(error: unknown): number {
  if (error instanceof CommanderError) {
    // Commander has printed help, the version or what is wrong.
    return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  }
  if (error instanceof EverlogError) {
    tell(`everlog: ${error.message}\n`);
    return exitCodeOf(error);
  }
  const trace = error instanceof Error ? (error.stack ?? error.message) : messageOf(error);
  tell(`everlog: this is a bug in Everlog, please report it:\n${trace}\n`);
  return EXIT.failed;
}

// Ctrl-C ends a command, unless it has an order of its own to end in, or a pager that the key is for.
process.on('SIGINT', () => {
  if (process.listenerCount('SIGINT') === 1) process.exit(EXIT.interrupted);
});

// A command may leave connections that are still closing; the answer is out, so it does not wait for them.
void main(process.argv).then((code) => process.exit(code));
