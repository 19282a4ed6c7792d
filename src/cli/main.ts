#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import { readVersion } from '../service/version.ts';
import { EverlogError, messageOf } from '../errors.ts';
import { EXIT, exitCodeOf } from './exit.ts';

/** `everlog`: parses the command line, runs one command, and ends with its exit code. */

type Register = (program: Command, done: (exit: number) => void) => void;

/** Where Node puts the first word after the program. */
const COMMAND_AT = 2;

/** What tells the program of its commands, in the order of the help. A command loads only what it needs to run. */
const REGISTERING: readonly {
  readonly commands: readonly string[];
  readonly load: () => Promise<Register>;
}[] = [
  { commands: ['demo'], load: async () => (await import('./demo/demo.ts')).registerDemo },
  {
    commands: ['up', 'serve', 'work', 'web'],
    load: async () => (await import('./run-service.ts')).registerService,
  },
  {
    commands: ['failures'],
    load: async () => (await import('./search/failures.ts')).registerFailures,
  },
  { commands: ['open'], load: async () => (await import('./read/open.ts')).registerOpen },
  { commands: ['stats'], load: async () => (await import('./search/stats.ts')).registerStats },
  { commands: ['grep'], load: async () => (await import('./search/grep.ts')).registerGrep },
  { commands: ['ls', 'cat'], load: async () => (await import('./read/reading.ts')).registerReading },
  {
    commands: ['reconcile', 'backfill'],
    load: async () => (await import('./upkeep/reconcile.ts')).registerReconcile,
  },
  { commands: ['redeliver'], load: async () => (await import('./upkeep/redeliver.ts')).registerRedeliver },
  { commands: ['status'], load: async () => (await import('./upkeep/status.ts')).registerStatus },
  { commands: ['failed'], load: async () => (await import('./upkeep/failed.ts')).registerFailed },
  { commands: ['seal'], load: async () => (await import('./evidence/seal.ts')).registerSeal },
  { commands: ['verify'], load: async () => (await import('./evidence/verify.ts')).registerVerify },
  { commands: ['keys'], load: async () => (await import('./evidence/keys.ts')).registerKeys },
  { commands: ['hold'], load: async () => (await import('./evidence/hold.ts')).registerHold },
  { commands: ['purge'], load: async () => (await import('./evidence/purge.ts')).registerPurge },
  { commands: ['expire'], load: async () => (await import('./evidence/expire.ts')).registerExpire },
  { commands: ['index'], load: async () => (await import('./upkeep/index-command.ts')).registerIndex },
  { commands: ['setup'], load: async () => (await import('./upkeep/setup.ts')).registerSetup },
  { commands: ['doctor'], load: async () => (await import('./upkeep/doctor.ts')).registerDoctor },
  { commands: ['export'], load: async () => (await import('./evidence/export.ts')).registerExport },
];

/** The one that knows the command; all of them for help, the version, and words that are no command. */
async function registering(word: string | undefined): Promise<readonly Register[]> {
  const known = REGISTERING.filter(({ commands }) => word !== undefined && commands.includes(word));
  return Promise.all((known.length > 0 ? known : REGISTERING).map(async ({ load }) => load()));
}

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
  for (const register of await registering(argv[COMMAND_AT])) register(program, done);
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
void main(process.argv).then((code) => process.exit(code));
