import { Argument, type Command } from 'commander';
import { EXIT } from '../exit.ts';
import { commandFacts } from './command-facts.ts';
import { completionFor, SHELLS } from './completion.ts';
import { manPage } from './man-page.ts';
import { print } from '../terminal/print.ts';

/** `everlog completion` and `man`: what the shell and `man` are told of the commands. */
export function registerManual(program: Command, done: (exit: number) => void): void {
  program
    .command('completion')
    .description('completion for your shell, to be sourced there')
    .addArgument(new Argument('<shell>', 'bash, zsh or fish').choices(SHELLS))
    .action((given: string) => {
      const shell = SHELLS.find((one) => one === given);
      if (shell === undefined) throw new Error(`an argument that is no choice: ${given}`);
      print(completionFor(shell, commandFacts(program)));
      done(EXIT.ok);
    });
  program
    .command('man')
    .description('the manual page, for man')
    .action(() => {
      print(manPage(commandFacts(program)));
      done(EXIT.ok);
    });
}
