import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Context, Next } from 'hono';

/** A page of log lines is a tenth of its size at this level already, and higher ones take twice the time. */
const LEVEL = 4;
/** Smaller answers gain nothing. */
const BYTES_MIN = 1_024;

const compressed = promisify(gzip);

/** Compresses pages, style and script for who takes gzip; logs and bundles are sent as they are. */
export async function compressPages(c: Context, next: Next): Promise<void> {
  await next();
  const type = c.res.headers.get('content-type') ?? '';
  const isPage = /^text\/(html|css|javascript)/.test(type);
  if (!isPage) return;
  c.header('vary', 'accept-encoding', { append: true });
  if (!takesGzip(c.req.header('accept-encoding') ?? '') || c.req.method === 'HEAD') return;
  const body = Buffer.from(await c.res.arrayBuffer());
  const headers = new Headers(c.res.headers);
  const isWorthIt = body.length >= BYTES_MIN;
  if (isWorthIt) headers.set('content-encoding', 'gzip');
  headers.delete('content-length');
  const { status } = c.res;
  c.res = undefined;
  c.res = new Response(isWorthIt ? await compressed(body, { level: LEVEL }) : body, { status, headers });
}

/** Whether `gzip` is among the encodings that somebody takes, and not by a weight of nothing. */
export function takesGzip(header: string): boolean {
  return header.split(',').some((one) => {
    const [coding = '', ...parameters] = one.split(';').map((part) => part.trim().toLowerCase());
    return coding === 'gzip' && !parameters.some((parameter) => /^q=0(?:\.0{0,3})?$/.test(parameter));
  });
}
