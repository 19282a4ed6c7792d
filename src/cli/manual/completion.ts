import { everyCommand, type CommandFacts, type OptionFacts } from './command-facts.ts';

/** Shells whose completion can be generated. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** The completion of a program for a shell, to be sourced there: commands, options, and values where there are few. */
export function completionFor(shell: Shell, program: CommandFacts): string {
  switch (shell) {
    case 'bash':
      return forBash(program);
    case 'zsh':
      return forZsh(program);
    case 'fish':
      return forFish(program);
  }
}

const FILES = /file|dir|folder|place/i;

/** The words of commands that have others below them or options, as one text each; the program's own is empty. */
function pathsOf(program: CommandFacts): readonly string[] {
  return [...everyCommand(program)].map(({ path }) => path.join(' '));
}

function forBash(program: CommandFacts): string {
  const all = [...everyCommand(program)];
  const known = pathsOf(program).filter((path) => path !== '');
  const cases = all.map((facts) => {
    const words = [
      ...facts.commands.map(({ path }) => path.at(-1) ?? ''),
      ...facts.arguments.flatMap(({ choices }) => choices),
      ...facts.options.flatMap((option) => optionNames(option)),
    ];
    return `    ${quoted(facts.path.join(' '))}) words=${quoted(words.join(' '))} ;;`;
  });
  return `# Completion of everlog for bash: source <(everlog completion bash)
_everlog() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" path='' words='' word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "\${path:+$path }$word" in
      ${known.map((path) => quoted(path)).join('|')}) path="\${path:+$path }$word" ;;
    esac
  done
  case "$path $previous" in
${valueCases(all)}
  esac
  case "$path" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _everlog everlog
`;
}

/** What follows an option that takes a value: one of few, a file, or nothing that could be guessed. */
function valueCases(all: readonly CommandFacts[]): string {
  const lines = all.flatMap((facts) =>
    facts.options
      .filter(({ value }) => value !== null)
      .map((option) => {
        const patterns = optionNames(option).map((name) => quoted(`${facts.path.join(' ')} ${name}`));
        return `    ${patterns.join('|')}) ${bashValues(option)}return ;;`;
      }),
  );
  return lines.join('\n');
}

function bashValues({ choices, value }: OptionFacts): string {
  if (choices.length > 0) return `COMPREPLY=($(compgen -W ${quoted(choices.join(' '))} -- "$current")); `;
  return FILES.test(value ?? '') ? 'COMPREPLY=($(compgen -f -- "$current")); ' : '';
}

function optionNames({ short, long }: OptionFacts): readonly string[] {
  return short === null ? [long] : [long, short];
}

function forZsh(program: CommandFacts): string {
  const all = [...everyCommand(program)];
  const known = pathsOf(program).filter((path) => path !== '');
  const listed = (names: readonly string[], description: string): string[] =>
    names.map((name) => quoted(`${name.replaceAll(':', '\\:')}:${description}`));
  const cases = all.map((facts) => {
    const operands = facts.arguments.flatMap(({ choices, description }) => listed(choices, description));
    const children = facts.commands.flatMap(({ path, description }) =>
      listed([path.at(-1) ?? ''], description),
    );
    const options = facts.options.flatMap((option) => listed(optionNames(option), option.description));
    return `    (${quoted(facts.path.join(' '))}) commands=(${[...children, ...operands].join(' ')}); options=(${options.join(' ')}) ;;`;
  });
  const values = all.flatMap((facts) =>
    facts.options
      .filter(({ value }) => value !== null)
      .map((option) => {
        const patterns = optionNames(option).map((name) => quoted(`${facts.path.join(' ')} ${name}`));
        const { choices, value } = option;
        const what =
          choices.length > 0
            ? `compadd -- ${choices.map((choice) => quoted(choice)).join(' ')}; `
            : FILES.test(value ?? '')
              ? '_files; '
              : '';
        return `    (${patterns.join('|')}) ${what}return ;;`;
      }),
  );
  return `#compdef everlog
# Completion of everlog for zsh: source <(everlog completion zsh), after compinit
_everlog() {
  local at_path='' word
  local -a commands options
  for word in \${words[2,CURRENT-1]}; do
    case "\${at_path:+$at_path }$word" in
      (${known.map((path) => quoted(path)).join('|')}) at_path="\${at_path:+$at_path }$word" ;;
    esac
  done
  case "$at_path \${words[CURRENT-1]}" in
${values.join('\n')}
  esac
  case "$at_path" in
${cases.join('\n')}
  esac
  if [[ \${words[CURRENT]} == -* ]]; then
    _describe -o option options
  elif (( $#commands )); then
    _describe command commands
  fi
}
compdef _everlog everlog
`;
}

function forFish(program: CommandFacts): string {
  const known = pathsOf(program).filter((path) => path !== '');
  const lines = [...everyCommand(program)].flatMap((facts) => {
    const at = `complete -c everlog -n ${quotedForFish(`__everlog_at ${quotedForFish(facts.path.join(' '))}`)}`;
    return [
      ...facts.commands.map(
        ({ path, description }) =>
          `${at} -a ${quotedForFish(path.at(-1) ?? '')} -d ${quotedForFish(description)}`,
      ),
      ...facts.arguments.flatMap(({ choices }) =>
        choices.map((choice) => `${at} -a ${quotedForFish(choice)}`),
      ),
      ...facts.options.map((option) => `${at} ${fishOption(option)}`),
    ];
  });
  return `# Completion of everlog for fish: everlog completion fish > ~/.config/fish/completions/everlog.fish
function __everlog_at
  set -l path
  for word in (commandline -opc)[2..-1]
    if contains -- (string join -- ' ' $path $word) ${known.map((path) => quotedForFish(path)).join(' ')}
      set -a path $word
    end
  end
  test (string join -- ' ' $path | string collect --allow-empty) = "$argv[1]"
end
complete -c everlog -f
${lines.join('\n')}
`;
}

function fishOption({ short, long, description, value, choices }: OptionFacts): string {
  const parts = [
    `-l ${long.replace(/^--/, '')}`,
    ...(short === null ? [] : [`-s ${short.replace(/^-/, '')}`]),
    ...(value === null ? [] : [FILES.test(value) && choices.length === 0 ? '-r -F' : '-x']),
    ...(choices.length === 0 ? [] : [`-a ${quotedForFish(choices.join(' '))}`]),
    `-d ${quotedForFish(description)}`,
  ];
  return parts.join(' ');
}

/** As bash and zsh take it at its letters. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

function quotedForFish(text: string): string {
  return `'${text.replaceAll('\\', String.raw`\\`).replaceAll("'", String.raw`\'`)}'`;
}
