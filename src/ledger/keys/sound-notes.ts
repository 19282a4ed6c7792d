import { createPublicKey, verify } from 'node:crypto';
import { checkpointKey } from '../../archive/keys.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { noteKeyHash, parseCheckpoint, type Checkpoint } from '../formats/checkpoint.ts';
import { readObject } from '../object-facts.ts';
import type { IsSound } from '../standing-digests.ts';
import type { SigningKey } from './key-files.ts';

const NOTE_BYTES_MAX = 64 * 1024;

/** What the note of a sequence says, where a key of the ledger signed it over that many digests; else null. */
export async function soundNote(
  store: Pick<ObjectStore, 'read'>,
  sequence: number,
  keys: readonly SigningKey[],
  stream: string,
): Promise<Checkpoint | null> {
  const found = await readObject(store, checkpointKey(sequence), NOTE_BYTES_MAX);
  const note = found?.content === undefined || found.content === null ? null : parseCheckpoint(found.content);
  if (note === null || note.checkpoint.size !== sequence) return null;
  const signer = keys.find(
    ({ publicKeyPem }) => publicKeyPem !== '' && note.keyHash.equals(noteKeyHash(stream, publicKeyPem)),
  );
  if (signer === undefined || note.checkpoint.stream !== stream) return null;
  const isSigned = verify(null, Buffer.from(note.text), createPublicKey(signer.publicKeyPem), note.signature);
  return isSigned ? note.checkpoint : null;
}

/** Tells notes of a ledger from what anybody else wrote. */
export function soundNotes(
  store: Pick<ObjectStore, 'read'>,
  keys: readonly SigningKey[],
  stream: string,
): IsSound {
  return async (sequence) => (await soundNote(store, sequence, keys, stream)) !== null;
}
