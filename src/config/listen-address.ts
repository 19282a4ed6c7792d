import type { Variables } from './variables.ts';

/** Where a server listens. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

const LISTENING = ['EVERLOG_LISTEN', 'EVERLOG_ADMIN_LISTEN'] as const;

/** Reads a listening address; null for `off`. */
export function readListen(
  variables: Variables,
  name: string,
  fallback: ListenAddress,
): ListenAddress | null {
  if (variables.text(name)?.trim() === 'off') return null;
  return variables.parsed(name, fallback, parseListen, 'HOST:PORT, PORT or off');
}

function parseListen(text: string): ListenAddress | null {
  const [, host = '', digits = ''] = /^(?:(.*):)?(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (digits === '' || port > 65_535) return null;
  return { host: host === '' ? '127.0.0.1' : host.replace(/^\[|\]$/g, ''), port };
}

/** Listening addresses that are given as a bare port, which only this machine reaches. */
export function barePortsOf(variables: Variables): readonly string[] {
  return LISTENING.filter((name) => /^:?\d+$/.test(variables.text(name)?.trim() ?? ''));
}
