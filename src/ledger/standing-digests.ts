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

const DIGEST_NAME = 'digest.json';

/** A digest that stands in the archive. */
export interface Standing {
  readonly sequence: number;
  readonly bytes: Buffer;
  readonly sha256: string;
  readonly digest: StandingDigest;
}

/** Whether what stands under a sequence is this ledger's; anybody who may write to the archive can plant something. */
export type IsSound = (sequence: number) => Promise<boolean>;

/** Sequences have ten digits, so no search takes more steps than this. */
const SEARCH_STEPS_MAX = 128;
/** Planted objects that are passed over, one read each; more are a matter for whoever can take them away. */
const PLANTED_MAX = 1_000;

/**
 * The last digest; null where there is none. Asks for few listings, however long the ledger is. What is planted behind it is
 * passed over, unless it stands where the next digest belongs.
 * @param hint a sequence that may be near the last
 * @param isSigned whether a digest bears the signature of a key of the ledger; without it, digests are believed as they stand
 * @throws EverlogError `ledger_damaged` when what stands at the next sequence is no digest of this ledger
 */
export async function findLastDigest(
  store: ObjectStore,
  hint: number,
  isSigned: (standing: Standing) => Promise<boolean> = () => Promise.resolve(true),
): Promise<Standing | null> {
  const isSound = async (sequence: number): Promise<boolean> => {
    const standing = await standingAt(store, sequence);
    return standing !== null && standing !== 'other' && (await isSigned(standing));
  };
  let last = await lastSequence(store, DIGESTS, isSound, hint);
  for (;;) {
    const next = await standingAt(store, last + 1);
    if (next === null) break;
    if (next === 'other') throw notOfTheLedger(last + 1);
    if (!(await isSigned(next))) {
      throw giveUp(
        'ledger_damaged',
        `digest ${last + 1}, the last, is not signed by a key of this ledger (${digestKey(last + 1)}): run \`everlog verify\``,
      );
    }
    // Another sealer was quicker than this search.
    last += 1;
  }
  return last === 0 ? null : readSealed(store, last);
}

/** The highest sequence that has a note below a store's ledger; 0 where there is none. */
export async function findLastNote(
  store: Pick<ObjectStore, 'list'>,
  hint: number,
  isSound: IsSound = () => Promise.resolve(true),
): Promise<number> {
  return lastSequence(store, NOTES, isSound, hint);
}

async function standingAt(
  store: Pick<ObjectStore, 'read'>,
  sequence: number,
): Promise<Standing | 'other' | null> {
  const found = await readObject(store, digestKey(sequence), DIGEST_BYTES_MAX);
  if (found === null) return null;
  const digest = found.content === null ? null : parseStandingDigest(found.content);
  if (found.content === null || digest === null || digest.sequence !== sequence) return 'other';
  return { sequence, bytes: found.content, sha256: found.sha256, digest };
}

function notOfTheLedger(sequence: number): Error {
  return giveUp(
    'ledger_damaged',
    `${digestKey(sequence)} is no digest of sequence ${sequence}: run \`everlog verify\``,
  );
}

/** Reads a digest that must be there. */
export async function readSealed(store: Pick<ObjectStore, 'read'>, sequence: number): Promise<Standing> {
  const standing = await standingAt(store, sequence);
  if (standing === null) throw missing(sequence);
  if (standing === 'other') throw notOfTheLedger(sequence);
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

/** What is searched for its end. */
interface Numbered {
  readonly root: string;
  readonly sequenceOf: (key: string) => number | null;
  readonly keyOf: (sequence: number) => string;
  /** What is cut off a key to have one that sorts a little before all of its sequence. */
  readonly suffix: string;
}

const DIGESTS: Numbered = {
  root: DIGESTS_ROOT,
  sequenceOf(key) {
    const sequence = key.endsWith(`/${DIGEST_NAME}`) ? sequenceOfDigestKey(key) : null;
    return sequence !== null && sequence > 0 && key === digestKey(sequence) ? sequence : null;
  },
  keyOf: digestFolder,
  suffix: '/',
};

const NOTES: Numbered = {
  root: CHECKPOINTS_ROOT,
  sequenceOf(key) {
    const [, digits] = /^ledger\/checkpoints\/(\d{10,16})\.note$/.exec(key) ?? [];
    return digits === undefined ? null : Number(digits);
  },
  keyOf: checkpointKey,
  suffix: '.note',
};

/** Leaps ahead while there is something to find and comes nearer when there is not: a listing of one page for each step. */
async function lastSequence(
  store: Pick<ObjectStore, 'list'>,
  numbered: Numbered,
  isSound: IsSound,
  hint: number,
): Promise<number> {
  const planted = new Set<number>();
  const accepts = async (sequence: number): Promise<boolean> => {
    if (planted.has(sequence)) return false;
    if (await isSound(sequence)) return true;
    planted.add(sequence);
    if (planted.size > PLANTED_MAX) {
      throw giveUp(
        'ledger_damaged',
        `more than ${PLANTED_MAX} objects below ${numbered.root} are not of this ledger, such as ${numbered.keyOf(sequence)}: find out who writes there, and take them away`,
      );
    }
    return false;
  };
  let known = 0;
  let leap = Math.max(1, hint);
  for (let step = 0; step < SEARCH_STEPS_MAX; step += 1) {
    const found = await firstFrom(store, numbered, known + leap, accepts);
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
  throw giveUp('ledger_damaged', `no end of the keys below ${numbered.root}`);
}

async function firstFrom(
  store: Pick<ObjectStore, 'list'>,
  { root, sequenceOf, keyOf, suffix }: Numbered,
  from: number,
  accepts: IsSound,
): Promise<number | null> {
  // A listing begins behind the key it is given: one that is a little smaller.
  const before = keyOf(from).slice(0, -suffix.length);
  for await (const { key } of store.list(root, before)) {
    const sequence = sequenceOf(key);
    if (sequence !== null && (await accepts(sequence))) return sequence;
  }
  return null;
}
