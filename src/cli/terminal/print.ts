import { inertJson } from '../../json-text.ts';
import { createTerminalSanitiser } from '../../log/terminal-sanitiser.ts';

/**
 * Text on its way to standard output or standard error, with nothing in it that acts on a terminal but colours: names, keys, paths
 * and other programs' words come into every line, and no place that composes one has to be trusted to have thought of it. A line of
 * JSON keeps its value: what would act is escaped in it.
 */
export function inertOutput(text: string): string {
  return /^[[{]/.test(text) ? inertJson(withoutControls(text)) : inertBlock(text);
}

/** Controls that no JSON has, for a text that only begins like some. */
function withoutControls(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, (control) => (/[\t\n\r\u007f-\u009f]/.test(control) ? control : ''));
}

function inertBlock(text: string): string {
  const filter = createTerminalSanitiser({ color: true });
  return Buffer.concat([filter.push(Buffer.from(text)), filter.end()]).toString('utf8');
}

/** Writes to standard output. */
export function print(text: string): void {
  process.stdout.write(inertOutput(text));
}

/** Writes to standard error. */
export function tell(text: string): void {
  process.stderr.write(inertOutput(text));
}
