import type { Context } from 'hono';
import type { Reader, Visit } from './access/access.ts';

/** What the application knows of each request: the reader, once one is known. */
export type Env = { Bindings: object; Variables: { reader: Reader } };
export type Page = Context<Env>;

/** Sent with every answer: nothing from elsewhere, nothing inline, nothing kept. */
export const SECURITY: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'private, no-store',
};

/** Longest text that is taken from a query. */
export const QUERY_CHARACTERS_MAX = 500;

/** A number in an address; null for anything else. */
export function numberIn(text: string | undefined): number | null {
  const number = /^[1-9]\d{0,15}$/.test(text ?? '') ? Number(text) : Number.NaN;
  return Number.isSafeInteger(number) ? number : null;
}

/** `120` or `120-140`; null for anything else. */
export function rangeInAddress(
  text: string | undefined,
): { readonly from: number; readonly to: number } | null {
  const [first, last] = (text ?? '').split('-');
  const from = numberIn(first);
  const to = last === undefined ? from : numberIn(last);
  return from === null || to === null ? null : { from: Math.min(from, to), to: Math.max(from, to) };
}

/** What is known of a request; the socket's address is Node's word, and headers are as they came, also those that stand twice. */
export function visitOf(c: Page): Visit {
  const { incoming } = nodeOf(c.env);
  const headers = new Map<string, string[]>();
  const raw = incoming?.rawHeaders ?? [];
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = (raw[at] ?? '').toLowerCase();
    headers.set(name, [...(headers.get(name) ?? []), raw[at + 1] ?? '']);
  }
  return { remoteAddress: incoming?.socket.remoteAddress ?? '', headers };
}

interface NodeRequest {
  readonly rawHeaders: readonly string[];
  readonly socket: { readonly remoteAddress?: string };
}

function nodeOf(env: object): { readonly incoming: NodeRequest | null } {
  return 'incoming' in env && isNodeRequest(env.incoming) ? { incoming: env.incoming } : { incoming: null };
}

function isNodeRequest(value: unknown): value is NodeRequest {
  return typeof value === 'object' && value !== null && 'rawHeaders' in value && 'socket' in value;
}
