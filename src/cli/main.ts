#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import { readVersion } from '../compose.ts';
import { EverlogError, messageOf } from '../errors.ts';
import { registerDemo } from './demo.ts';
import { EXIT, exitCodeOf } from './exit.ts';
import { registerDoctor } from './doctor.ts';
import { registerExpire } from './expire.ts';
import { registerExport } from './export.ts';
import { registerFailed } from './failed.ts';
import { registerHold } from './hold.ts';
import { registerPurge } from './purge.ts';
import { registerKeys } from './keys.ts';
import { registerReading } from './reading.ts';
import { registerReconcile } from './reconcile.ts';
import { registerRedeliver } from './redeliver.ts';
import { registerService } from './run-service.ts';
import { registerSeal } from './seal.ts';
import { registerVerify } from './verify.ts';

/** `everlog`: parses the command line, runs one command, and ends with its exit code. */

async function main(argv: readonly string[]): Promise<number> {
  let code: number = EXIT.ok;
  const program = new Command('everlog')
    .description(
      'The archive that GitHub Actions lacks: keeps every job log, and says honestly what it does not have.',
    )
    .version(readVersion(), '-V, --version')
    .showHelpAfterError('(see --help)')
    .exitOverride()
    .configureOutput({
      writeErr: (text) => process.stderr.write(text),
      writeOut: (text) => process.stdout.write(text),
    });
  const done = (exit: number): void => {
    code = exit;
  };
  for (const register of [
    registerDemo,
    registerService,
    registerReading,
    registerReconcile,
    registerRedeliver,
    registerFailed,
    registerSeal,
    registerVerify,
    registerKeys,
    registerHold,
    registerPurge,
    registerExpire,
    registerDoctor,
    registerExport,
  ])
    register(program, done);
  inheritSettings(program);
  try {
    await program.parseAsync(argv);
    return code;
  } catch (error) {
    return reported(error);
  }
}

/** Sub-commands are made before the program's settings could reach them. */
function inheritSettings(command: Command): void {
  for (const child of command.commands) {
    child.copyInheritedSettings(command);
    inheritSettings(child);
  }
}

function reported(error: unknown): number {
  if (error instanceof CommanderError) {
    // Commander has printed help, the version or what is wrong.
    return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  }
  if (error instanceof EverlogError) {
    process.stderr.write(`everlog: ${error.message}\n`);
    return exitCodeOf(error);
  }
  const trace = error instanceof Error ? (error.stack ?? error.message) : messageOf(error);
  process.stderr.write(`everlog: this is a bug in Everlog, please report it:\n${trace}\n`);
  return EXIT.failed;
}

// A command may leave connections that are still closing; the answer is out, so it does not wait for them.
process.exit(await main(process.argv));
