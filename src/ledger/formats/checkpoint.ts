import { createHash, createPublicKey } from 'node:crypto';
import type { Signer } from '../ports.ts';

/** Notes on the tree of digests (C2SP tlog-checkpoint as a signed note, Ed25519). */

/** What a note says. */
export interface Checkpoint {
  readonly stream: string;
  readonly size: number;
  /** 32 bytes. */
  readonly root: Buffer;
}

/** A note taken apart; whether its signature holds is another question. */
export interface ParsedNote {
  readonly checkpoint: Checkpoint;
  /** What is signed: all lines up to the empty one. */
  readonly text: string;
  readonly keyName: string;
  readonly keyHash: Buffer;
  /** Raw Ed25519, 64 bytes. */
  readonly signature: Buffer;
}

/** Marks a key and its signatures as Ed25519. */
const ED25519 = Buffer.from([0x01]);
const KEY_HASH_BYTES = 4;
const SIGNATURE_BYTES = 64;
/** The last bytes of an Ed25519 key's SPKI are the key itself. */
const RAW_KEY_BYTES = 32;

/** The text of a note, which is what is signed. */
export function checkpointText({ stream, size, root }: Checkpoint): string {
  return `${stream}\n${size}\n${root.toString('base64')}\n`;
}

/** Signs a note on a tree; the key's name is the stream's. */
export async function signCheckpoint(checkpoint: Checkpoint, signer: Signer): Promise<Buffer> {
  const text = checkpointText(checkpoint);
  const signature = await signer.sign(Buffer.from(text));
  const keyHash = noteKeyHash(checkpoint.stream, signer.publicKeyPem);
  const signed = Buffer.concat([keyHash, signature]).toString('base64');
  return Buffer.from(`${text}\n— ${checkpoint.stream} ${signed}\n`);
}

/** The four bytes by which a note names its key. */
export function noteKeyHash(keyName: string, publicKeyPem: string): Buffer {
  const spki = createPublicKey(publicKeyPem).export({ type: 'spki', format: 'der' });
  const raw = spki.subarray(-RAW_KEY_BYTES);
  const hash = createHash('sha256').update(`${keyName}\n`).update(ED25519).update(raw).digest();
  return hash.subarray(0, KEY_HASH_BYTES);
}

const NOTE =
  /^(?<text>(?<stream>[^\n]+)\n(?<size>0|[1-9]\d{0,15})\n(?<root>[A-Za-z0-9+/]{43}=)\n)\n— (?<name>[^ \n]+) (?<signed>[A-Za-z0-9+/=]+)\n$/;

/** Reads a note of one signature; null where it is none. */
export function parseCheckpoint(bytes: Uint8Array): ParsedNote | null {
  const groups = NOTE.exec(Buffer.from(bytes).toString('utf8'))?.groups;
  if (groups === undefined) return null;
  const { text = '', stream = '', size = '', root = '', name = '', signed = '' } = groups;
  const decoded = Buffer.from(signed, 'base64');
  if (decoded.byteLength !== KEY_HASH_BYTES + SIGNATURE_BYTES) return null;
  return {
    checkpoint: { stream, size: Number(size), root: Buffer.from(root, 'base64') },
    text,
    keyName: name,
    keyHash: decoded.subarray(0, KEY_HASH_BYTES),
    signature: decoded.subarray(KEY_HASH_BYTES),
  };
}
