import type { Command } from 'commander';
import { examplesOf, type Example } from './examples.ts';

/** A command as its manual and the shell's completion tell of it, from the same definitions that parse it. */
export interface CommandFacts {
  /** Its words without the program's name; empty for the program. */
  readonly path: readonly string[];
  readonly group: string;
  readonly usage: string;
  readonly description: string;
  readonly arguments: readonly {
    readonly name: string;
    readonly description: string;
    /** The only values it takes; empty where it takes any. */
    readonly choices: readonly string[];
  }[];
  readonly options: readonly OptionFacts[];
  readonly examples: readonly Example[];
  readonly commands: readonly CommandFacts[];
}

export interface OptionFacts {
  /** As help shows it: `-R, --repo <owner/repo>`. */
  readonly flags: string;
  readonly short: string | null;
  readonly long: string;
  readonly description: string;
  /** What its value is called; null where it takes none. */
  readonly value: string | null;
  /** The only values it takes; empty where it takes any. */
  readonly choices: readonly string[];
}

/** Takes down a command and all below it. */
export function commandFacts(command: Command, path: readonly string[] = []): CommandFacts {
  const help = command.createHelp();
  return {
    path,
    group: command.helpGroup(),
    usage: help.commandUsage(command),
    description: command.description(),
    arguments: command.registeredArguments.map((argument) => ({
      name: argument.name(),
      description: argument.description,
      choices: argument.argChoices ?? [],
    })),
    options: help.visibleOptions(command).map(({ flags, short, long, description, argChoices }) => ({
      flags,
      short: short ?? null,
      long: long ?? flags,
      description,
      value: /[<[]([^>\]]+)[>\]]/.exec(flags)?.[1] ?? null,
      choices: argChoices ?? [],
    })),
    examples: examplesOf(path.join(' ')),
    commands: help
      .visibleCommands(command)
      .filter((child) => child.name() !== 'help')
      .map((child) => commandFacts(child, [...path, child.name()])),
  };
}

/** A command and all below it, each before those below it. */
export function* everyCommand(facts: CommandFacts): Generator<CommandFacts> {
  yield facts;
  for (const child of facts.commands) yield* everyCommand(child);
}
