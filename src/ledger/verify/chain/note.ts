import { createHash, verify, type KeyObject } from 'node:crypto';

/** Signed notes of C2SP tlog-checkpoint: reading them and checking their signatures. */

/** A checkpoint as it was read; nothing of it is checked yet. */
export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  readonly root: Buffer;
  /** What is signed: the lines up to the blank one. */
  readonly text: Buffer;
  readonly signatures: readonly { readonly name: string; readonly blob: Buffer }[];
}

/** Notes measure a few hundred bytes; with many witnesses a few thousand. */
export const NOTE_BYTES_MAX = 64 * 1024;
const KEY_HASH_BYTES = 4;
const ED25519_KIND = 0x01;
/** Raw Ed25519 keys stand at the end of their SPKI. */
const RAW_KEY_BYTES = 32;
const SIGNATURE_LINE = /^\u2014 (\S+) ([A-Za-z0-9+/]+={0,2})$/;

/** Reads a note; null when it is no checkpoint. */
export function parseCheckpoint(bytes: Uint8Array): Checkpoint | null {
  let note: string;
  try {
    note = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
  const blank = note.lastIndexOf('\n\n');
  if (blank === -1 || !note.endsWith('\n')) return null;
  const text = note.slice(0, blank + 1);
  const [origin = '', sizeText = '', rootText = ''] = text.split('\n');
  const root = Buffer.from(rootText, 'base64');
  const size = /^(0|[1-9]\d{0,15})$/.test(sizeText) ? Number(sizeText) : -1;
  if (origin === '' || size < 0 || root.length !== 32 || root.toString('base64') !== rootText) return null;
  const signatures: { name: string; blob: Buffer }[] = [];
  for (const line of note.slice(blank + 2, -1).split('\n')) {
    const [, name, base64] = SIGNATURE_LINE.exec(line) ?? [];
    if (name === undefined || base64 === undefined) return null;
    signatures.push({ name, blob: Buffer.from(base64, 'base64') });
  }
  return { origin, size, root, text: Buffer.from(text), signatures };
}

/** Whether the checkpoint bears a valid signature by this Ed25519 key under its origin's name. */
export function isSignedBy(checkpoint: Checkpoint, key: KeyObject): boolean {
  const keyHash = keyHashOf(checkpoint.origin, key);
  return checkpoint.signatures.some(
    ({ name, blob }) =>
      name === checkpoint.origin &&
      blob.subarray(0, KEY_HASH_BYTES).equals(keyHash) &&
      verify(null, checkpoint.text, key, blob.subarray(KEY_HASH_BYTES)),
  );
}

function keyHashOf(name: string, key: KeyObject): Buffer {
  const raw = key.export({ type: 'spki', format: 'der' }).subarray(-RAW_KEY_BYTES);
  return createHash('sha256')
    .update(`${name}\n`)
    .update(Buffer.of(ED25519_KIND))
    .update(raw)
    .digest()
    .subarray(0, KEY_HASH_BYTES);
}
