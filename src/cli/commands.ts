import { Command } from 'commander';
import { readVersion } from '../service/version.ts';
import { examplesOf } from './manual/examples.ts';
import { print, tell } from './terminal/print.ts';

/** Every command, and what tells the program of it. A command loads only what it needs to run. */

type Register = (program: Command, done: (exit: number) => void) => void;

interface Registering {
  readonly commands: readonly string[];
  readonly group: string;
  readonly load: () => Promise<Register>;
}

const BEGIN = 'Begin:';
const RUN = 'Run the service:';
const READ = 'Find and read logs:';
const COMPLETE = 'Complete the archive:';
const EVIDENCE = 'Prove what is there:';
const KEEP = 'Keep and remove:';
const SERVE_ITSELF = 'The index, the shell, the manual:';

/** In the order of the help. */
const REGISTERING: readonly Registering[] = [
  { commands: ['demo'], group: BEGIN, load: async () => (await import('./demo/demo.ts')).registerDemo },
  { commands: ['setup'], group: BEGIN, load: async () => (await import('./upkeep/setup.ts')).registerSetup },
  {
    commands: ['doctor'],
    group: BEGIN,
    load: async () => (await import('./upkeep/doctor.ts')).registerDoctor,
  },
  {
    commands: ['up', 'serve', 'work', 'web'],
    group: RUN,
    load: async () => (await import('./run-service.ts')).registerService,
  },
  { commands: ['status'], group: RUN, load: async () => (await import('./upkeep/status.ts')).registerStatus },
  {
    commands: ['ls', 'cat'],
    group: READ,
    load: async () => (await import('./read/reading.ts')).registerReading,
  },
  {
    commands: ['failures'],
    group: READ,
    load: async () => (await import('./search/failures.ts')).registerFailures,
  },
  { commands: ['grep'], group: READ, load: async () => (await import('./search/grep.ts')).registerGrep },
  { commands: ['stats'], group: READ, load: async () => (await import('./search/stats.ts')).registerStats },
  { commands: ['open'], group: READ, load: async () => (await import('./read/open.ts')).registerOpen },
  {
    commands: ['reconcile', 'backfill'],
    group: COMPLETE,
    load: async () => (await import('./upkeep/reconcile.ts')).registerReconcile,
  },
  {
    commands: ['redeliver'],
    group: COMPLETE,
    load: async () => (await import('./upkeep/redeliver.ts')).registerRedeliver,
  },
  {
    commands: ['failed'],
    group: COMPLETE,
    load: async () => (await import('./upkeep/failed.ts')).registerFailed,
  },
  {
    commands: ['seal'],
    group: EVIDENCE,
    load: async () => (await import('./evidence/seal.ts')).registerSeal,
  },
  {
    commands: ['verify'],
    group: EVIDENCE,
    load: async () => (await import('./evidence/verify.ts')).registerVerify,
  },
  {
    commands: ['export'],
    group: EVIDENCE,
    load: async () => (await import('./evidence/export.ts')).registerExport,
  },
  {
    commands: ['keys'],
    group: EVIDENCE,
    load: async () => (await import('./evidence/keys.ts')).registerKeys,
  },
  { commands: ['hold'], group: KEEP, load: async () => (await import('./evidence/hold.ts')).registerHold },
  { commands: ['purge'], group: KEEP, load: async () => (await import('./evidence/purge.ts')).registerPurge },
  {
    commands: ['expire'],
    group: KEEP,
    load: async () => (await import('./evidence/expire.ts')).registerExpire,
  },
  {
    commands: ['index'],
    group: SERVE_ITSELF,
    load: async () => (await import('./upkeep/index-command.ts')).registerIndex,
  },
  {
    commands: ['completion', 'man'],
    group: SERVE_ITSELF,
    load: async () => (await import('./manual/register-manual.ts')).registerManual,
  },
];

/** Those that tell of the whole program. */
const TELL_OF_ALL: ReadonlySet<string> = new Set(['completion', 'man']);

/**
 * The program with the command that a word names; with every command for help, the version, and words that are none.
 * `done` is told the exit code of the command that ran.
 */
export async function buildProgram(word: string | undefined, done: (exit: number) => void): Promise<Command> {
  const program = new Command('everlog')
    .description(
      'The archive that GitHub Actions lacks: keeps every job log, and says honestly what it does not have.',
    )
    .version(readVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print the help of a command')
    .commandsGroup(SERVE_ITSELF)
    .showHelpAfterError('(see --help)')
    .exitOverride()
    .configureOutput({
      writeErr: tell,
      writeOut: print,
    });
  const isOne = word !== undefined && !TELL_OF_ALL.has(word) && isCommand(word);
  for (const { group, load } of REGISTERING.filter(({ commands }) => !isOne || commands.includes(word))) {
    const known = new Set(program.commands);
    (await load())(program, done);
    for (const command of program.commands) if (!known.has(command)) command.helpGroup(group);
  }
  settleCommand(program, []);
  return program;
}

function isCommand(word: string): boolean {
  return REGISTERING.some(({ commands }) => commands.includes(word));
}

/**
 * The words of a command line, `help hold add` as `hold add --help`. Those that ask for the help of a command that is none come
 * back as if they had not: then they are refused as an unknown command, with the one that was probably meant.
 */
export function withHelpAsOption(program: Command, words: readonly string[]): readonly string[] {
  const asked = words[0] === 'help' && words.length > 1 ? [...words.slice(1), '--help'] : words;
  let command = program;
  for (const word of asked) {
    if (word.startsWith('-') || command.commands.length === 0) return asked;
    const next = command.commands.find((one) => one.name() === word);
    if (next === undefined) return asked.filter((one) => one !== '--help' && one !== '-h');
    command = next;
  }
  return asked;
}

/** Sub-commands are made before the program's settings could reach them; and each ends its help with examples. */
function settleCommand(command: Command, path: readonly string[]): void {
  for (const child of command.commands) {
    const at = [...path, child.name()];
    child.copyInheritedSettings(command);
    child.helpOption('-h, --help', 'print this help');
    const examples = examplesOf(at.join(' '));
    if (examples.length > 0) {
      const lines = examples.map(({ line, says }) => `  # ${says}\n  ${line}\n`);
      child.addHelpText('after', `\nExamples:\n${lines.join('')}`);
    }
    settleCommand(child, at);
  }
}
