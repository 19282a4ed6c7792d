import { createHash } from 'node:crypto';
import {
  checkpointKey,
  CHECKPOINTS_ROOT,
  digestFolder,
  digestKey,
  DIGESTS_ROOT,
  sequenceOfDigestKey,
} from '../archive/keys.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { giveUp } from '../errors.ts';
import { DIGEST_BYTES_MAX, parseStandingDigest, type StandingDigest } from './formats/digest.ts';
import { readObject } from './object-facts.ts';

/** A digest that stands in the archive. */
export interface Standing {
  readonly sequence: number;
  readonly bytes: Buffer;
  readonly sha256: string;
  readonly digest: StandingDigest;
}

/** Sequences have ten digits, so no search takes more steps than this. */
const SEARCH_STEPS_MAX = 128;
/** A crashed sealer leaves files without a digest at the next sequence only; more in a row is no accident. */
const FOLDERS_WITHOUT_DIGEST_MAX = 1;

/**
 * The last digest; null where there is none. Asks for few listings, however long the ledger is.
 * @param hint a sequence that may be near the last
 * @throws EverlogError `ledger_damaged` when files stand behind the last digest as no crash leaves them
 */
export async function findLastDigest(store: ObjectStore, hint: number): Promise<Standing | null> {
  const last = await lastSequence(store, DIGESTS_ROOT, sequenceOfDigestKey, digestFolder, hint);
  for (let sequence = last; sequence > 0; sequence -= 1) {
    const standing = await readDigest(store, sequence);
    if (standing !== null) return standing;
    if (last - sequence >= FOLDERS_WITHOUT_DIGEST_MAX) throw missing(sequence);
  }
  return null;
}

/** The highest sequence that has a note below a store's ledger; 0 where there is none. */
export async function findLastNote(store: Pick<ObjectStore, 'list'>, hint: number): Promise<number> {
  return lastSequence(store, CHECKPOINTS_ROOT, sequenceOfNoteKey, checkpointKey, hint);
}

/**
 * Reads a digest; null where there is none.
 * @throws EverlogError `ledger_damaged` when what stands there is no digest of that sequence
 */
async function readDigest(store: Pick<ObjectStore, 'read'>, sequence: number): Promise<Standing | null> {
  const key = digestKey(sequence);
  const found = await readObject(store, key, DIGEST_BYTES_MAX);
  if (found === null) return null;
  const digest = found.content === null ? null : parseStandingDigest(found.content);
  if (found.content === null || digest === null || digest.sequence !== sequence)
    throw giveUp('ledger_damaged', `${key} is no digest of sequence ${sequence}: run \`everlog verify\``);
  return { sequence, bytes: found.content, sha256: found.sha256, digest };
}

/** Reads a digest that must be there. */
export async function readSealed(store: Pick<ObjectStore, 'read'>, sequence: number): Promise<Standing> {
  const standing = await readDigest(store, sequence);
  if (standing === null) throw missing(sequence);
  return standing;
}

function missing(sequence: number): Error {
  return giveUp(
    'ledger_damaged',
    `${digestKey(sequence)} is missing although later files of the ledger stand: run \`everlog verify\`, and put it back from the anchor or an older version`,
  );
}

export function sha256Hex(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function sequenceOfNoteKey(key: string): number | null {
  const [, digits] = /^ledger\/checkpoints\/(\d{10,16})\.note$/.exec(key) ?? [];
  return digits === undefined ? null : Number(digits);
}

/** Leaps ahead while there is something to find and comes nearer when there is not: a listing of one page for each step. */
async function lastSequence(
  store: Pick<ObjectStore, 'list'>,
  root: string,
  sequenceOf: (key: string) => number | null,
  keyOf: (sequence: number) => string,
  hint: number,
): Promise<number> {
  let known = 0;
  let leap = Math.max(1, hint);
  for (let step = 0; step < SEARCH_STEPS_MAX; step += 1) {
    const found = await firstFrom(store, root, sequenceOf, keyOf(known + leap));
    if (found !== null) {
      known = found;
      // From a good hint on, the next is likely the last.
      leap = step === 0 ? 1 : leap * 2;
    } else if (leap === 1) {
      return known;
    } else {
      leap = Math.floor(leap / 2);
    }
  }
  throw giveUp('ledger_damaged', `no end of the keys below ${root}`);
}

async function firstFrom(
  store: Pick<ObjectStore, 'list'>,
  root: string,
  sequenceOf: (key: string) => number | null,
  from: string,
): Promise<number | null> {
  // A listing begins behind the key it is given: one that is a little smaller.
  const before = from.endsWith('/') ? from.slice(0, -1) : from.slice(0, -'.note'.length);
  for await (const { key } of store.list(root, before)) {
    const sequence = sequenceOf(key);
    if (sequence !== null) return sequence;
  }
  return null;
}
