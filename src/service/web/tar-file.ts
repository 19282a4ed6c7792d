import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

const BLOCK = 512;
const NAME_BYTES_MAX = 100;
const PREFIX_BYTES_MAX = 155;

/**
 * The files of a folder as a tar archive (POSIX ustar, with a pax header for a path that does not fit), below a folder of the
 * name given, in the order of their paths. Holds one chunk of one file at a time.
 */
export async function* tarOf(folder: string, name: string, at: Date): AsyncGenerator<Uint8Array> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  for (const file of files.sort()) {
    const { size, mode } = await stat(file);
    const path = `${name}${file.slice(folder.length)}`;
    yield* tarHeader(path, size, mode, at);
    let sent = 0;
    for await (const chunk of createReadStream(file)) {
      if (!Buffer.isBuffer(chunk)) throw new Error('a file was not read as bytes');
      sent += chunk.length;
      yield chunk;
    }
    if (sent !== size) throw new Error(`${path} changed while it was sent`);
    if (size % BLOCK !== 0) yield Buffer.alloc(BLOCK - (size % BLOCK));
  }
  yield Buffer.alloc(2 * BLOCK);
}

function* tarHeader(path: string, size: number, mode: number, at: Date): Generator<Buffer> {
  const split = splitPath(path);
  if (split !== null) {
    yield block(split.name, split.prefix, size, mode, at, '0');
    return;
  }
  const record = paxRecord('path', path);
  yield block('pax-header', '', record.length, mode, at, 'x');
  yield record;
  if (record.length % BLOCK !== 0) yield Buffer.alloc(BLOCK - (record.length % BLOCK));
  yield block('file', '', size, mode, at, '0');
}

/** A path in the two fields of a header; null where it does not fit. */
function splitPath(path: string): { name: string; prefix: string } | null {
  if (Buffer.byteLength(path) <= NAME_BYTES_MAX) return { name: path, prefix: '' };
  for (let slash = path.indexOf('/'); slash > 0; slash = path.indexOf('/', slash + 1)) {
    const [prefix, name] = [path.slice(0, slash), path.slice(slash + 1)];
    if (Buffer.byteLength(prefix) > PREFIX_BYTES_MAX) return null;
    if (Buffer.byteLength(name) <= NAME_BYTES_MAX) return { name, prefix };
  }
  return null;
}

/** `LENGTH KEY=VALUE\n`, whose length counts itself. */
function paxRecord(key: string, value: string): Buffer {
  const rest = ` ${key}=${value}\n`;
  let length = Buffer.byteLength(rest);
  while (length !== String(length).length + Buffer.byteLength(rest))
    length = String(length).length + Buffer.byteLength(rest);
  return Buffer.from(`${length}${rest}`);
}

function block(name: string, prefix: string, size: number, mode: number, at: Date, type: string): Buffer {
  const header = Buffer.alloc(BLOCK);
  const octal = (value: number, digits: number): string => value.toString(8).padStart(digits, '0');
  header.write(name, 0);
  header.write(octal(mode & 0o777, 7), 100);
  header.write(octal(0, 7), 108);
  header.write(octal(0, 7), 116);
  header.write(octal(size, 11), 124);
  header.write(octal(Math.floor(at.getTime() / 1_000), 11), 136);
  header.write(' '.repeat(8), 148);
  header.write(type, 156);
  header.write('ustar', 257);
  header.write('00', 263);
  header.write(prefix, 345);
  const sum = header.reduce((all, byte) => all + byte, 0);
  header.write(`${octal(sum, 6)}\0 `, 148);
  return header;
}
