import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { ListedObject, ObjectStore, PutBody, PutOptions } from '../../src/store/object-store.ts';

const SAMPLE_INTERVAL_MS = 5;

/** Keys as Everlog writes them and worse ones; each must come back from the store letter for letter. */
export const ODD_KEYS = [
  'odd/space in name',
  'odd/plus+sign',
  'odd/per%20cent%',
  'odd/a&b=c?d#e',
  `odd/quotes'"\``,
  'odd/<xml>&amp;',
  'odd/colon:semi;comma,at@',
  'odd/star*paren(s)!',
  'odd/tilde~dollar$caret^pipe|',
  'odd/back\\slash',
  'odd/dots..inside...',
  'odd/umlaut-ä-é-日本語',
  'odd/emoji-🚀',
  'odd/host=[::1]/owner=a/repo=.github/x.json',
];

/** Keys that could be paths of their own, or that some store cannot hold. */
export const REFUSED_KEYS = ['', '/absolute', 'a//b', 'a/', 'a/../b', '..', 'a/./b', 'nul\0', `half\ud800`];

export const RECORD: PutOptions = { contentType: 'application/json', kind: 'record' };
export const LOG: PutOptions = { contentType: 'application/gzip', kind: 'log' };

/** A body as the product makes them, made without the product. */
export function textBody(text: string): PutBody {
  const bytes = Buffer.from(text);
  return { bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex'), open: () => bytes };
}

/** Stores a text; answers what became of it. */
export async function put(store: ObjectStore, key: string, text: string): Promise<'created' | 'exists'> {
  return (await store.putIfAbsent(key, textBody(text), RECORD)).outcome;
}

/** The text of what `read` gave; null when there was nothing. */
export async function textOf(
  read: { body: Readable } | null,
  encoding: 'utf8' | 'latin1' = 'utf8',
): Promise<string | null> {
  return read === null ? null : (await buffer(read.body)).toString(encoding);
}

export async function keysOf(objects: AsyncIterable<ListedObject>): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of objects) keys.push(key);
  return keys;
}

/** Order of keys by their UTF-8 bytes. */
export function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** A body that breaks in the middle. */
export function failingStream(): Readable {
  return Readable.from(
    (function* () {
      yield Buffer.from('the right');
      throw new Error('the disk broke');
    })(),
    { objectMode: false },
  );
}

/** A body of any size that takes no memory. */
export function largeBody(bytes: number): PutBody {
  const block = randomBytes(1024 * 1024);
  const hash = createHash('sha256');
  for (let at = 0; at < bytes; at += block.length) hash.update(block);
  return {
    bytes,
    sha256: hash.digest('hex'),
    open: () =>
      Readable.from(
        Array.from({ length: bytes / block.length }, () => block),
        { objectMode: false },
      ),
  };
}

export async function sha256Of(stream: Readable | undefined): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of stream ?? []) {
    const bytes: unknown = chunk;
    if (bytes instanceof Uint8Array) hash.update(bytes);
  }
  return hash.digest('hex');
}

/** How far memory in use rose above its start at the worst moment. */
export async function memoryGrowth(work: () => Promise<void>): Promise<number> {
  const start = memoryInUse();
  let highest = start;
  const timer = setInterval(() => {
    highest = Math.max(highest, memoryInUse());
  }, SAMPLE_INTERVAL_MS);
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
  return highest - start;
}

function memoryInUse(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
