import { wantsColor } from '../../config.ts';
import type { Terminal } from './terminal.ts';

/** Width taken where a terminal does not tell its own. */
const COLUMNS = 80;

/** The terminal behind standard output. */
export function standardTerminal(): Terminal {
  return terminalOf(process.stdout);
}

/** The terminal behind a standard stream, where there is one. */
export function terminalOf(stream: NodeJS.WriteStream): Terminal {
  const isTTY = stream.isTTY;
  return { isTTY, columns: isTTY ? stream.columns || COLUMNS : COLUMNS, color: isTTY && wantsColor() };
}
