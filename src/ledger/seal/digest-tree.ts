import { z } from 'zod';
import { checkpointKey } from '../../archive/keys.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { bytesBody } from '../../store/put-body.ts';
import { giveUp } from '../../errors.ts';
import { signCheckpoint } from '../formats/checkpoint.ts';
import type { SigningKey } from '../keys/key-files.ts';
import { soundNote, soundNotes } from '../keys/sound-notes.ts';
import { isFrontier, leafHash, openMerkleTree, type Frontier, type MerkleTree } from '../formats/merkle.ts';
import { readObject } from '../object-facts.ts';
import type { SealNotes, Signer } from '../ports.ts';
import { findLastNote, readSealed, type Standing } from '../standing-digests.ts';

/** The tree of digests, and the notes on it. */
export interface DigestTree {
  /** Adds the next digest and writes the note on the tree up to it. */
  append(digest: Standing): Promise<void>;
}

export interface DigestTreeDeps {
  readonly store: ObjectStore;
  readonly notes: SealNotes;
  readonly signer: Signer;
  readonly keys: readonly SigningKey[];
  readonly stream: string;
}

/** Name of the frontier kept with the queue, which saves reading every digest. */
const FRONTIER_NOTE = 'ledger-frontier';
const FRONTIER_KEPT_MS = 400 * 24 * 60 * 60_000;
/** Digests read at once where the frontier was lost. */
const DIGESTS_IN_FLIGHT = 32;
const NOTE_BYTES_MAX = 64 * 1024;

const frontierSchema = z.object({
  stream: z.string(),
  size: z.int().nonnegative(),
  roots: z.array(z.string().regex(/^[0-9a-f]{64}$/)).max(64),
});

/**
 * Opens the tree up to the last digest, and writes the notes that a crash left out. It continues from the last note: with
 * the frontier kept with the queue when that has the note's root, else from every digest.
 * @throws EverlogError `ledger_damaged` when digests are missing, or are not those that the last note was signed over
 */
export async function openDigestTree(deps: DigestTreeDeps, last: Standing | null): Promise<DigestTree> {
  const { store } = deps;
  const size = last?.sequence ?? 0;
  // Before the first digest there is no ledger whose notes could be told from others: whatever stands there is told.
  const isOurs = last === null ? undefined : soundNotes(store, deps.keys, deps.stream);
  const noted = await findLastNote(store, size, isOurs);
  if (noted > size) {
    throw giveUp(
      'ledger_damaged',
      `${checkpointKey(noted)} stands although the last digest is ${size}: later digests were removed. Run \`everlog verify\`, and put them back from the anchor or an older version`,
    );
  }
  const root = noted === 0 ? null : await notedRoot(deps, noted);
  const tree = await treeOf(deps, noted, root);
  const one: DigestTree = {
    async append(digest) {
      tree.append(leafHash(digest.bytes));
      if (tree.frontier().size !== digest.sequence)
        throw new Error(`digest ${digest.sequence} is not the next`);
      // Only the digest's own key may sign the note on it; after a rotation one that is missing stays so.
      if (digest.digest.key_id === deps.signer.keyId) await putNote(deps, digest.sequence, tree.root());
      await keepFrontier(deps, tree.frontier());
    },
  };
  for (let sequence = noted + 1; sequence < size; sequence += 1) {
    await one.append(await readSealed(store, sequence));
  }
  if (last !== null && noted < size) await one.append(last);
  return one;
}

async function treeOf(deps: DigestTreeDeps, size: number, root: Buffer | null): Promise<MerkleTree> {
  if (root === null) return openMerkleTree();
  const kept = await keptFrontier(deps, size);
  const tree = kept === null ? null : openMerkleTree(kept);
  if (tree?.root().equals(root) === true) return tree;
  const built = await treeOfDigests(deps.store, size);
  if (built.root().equals(root)) return built;
  throw giveUp(
    'ledger_damaged',
    `the digests up to ${size} are not those that ${checkpointKey(size)} was signed over: run \`everlog verify\``,
  );
}

async function treeOfDigests(store: ObjectStore, size: number): Promise<MerkleTree> {
  const tree = openMerkleTree();
  for (let from = 1; from <= size; from += DIGESTS_IN_FLIGHT) {
    const count = Math.min(DIGESTS_IN_FLIGHT, size - from + 1);
    const digests = await Promise.all(
      Array.from({ length: count }, (_, index) => readSealed(store, from + index)),
    );
    for (const { bytes } of digests) tree.append(leafHash(bytes));
  }
  return tree;
}

/** The root in a note whose signature holds. */
async function notedRoot({ store, keys, stream }: DigestTreeDeps, sequence: number): Promise<Buffer> {
  const note = await soundNote(store, sequence, keys, stream);
  if (note !== null) return note.root;
  throw giveUp(
    'ledger_damaged',
    `${checkpointKey(sequence)} is no note that a key of this ledger signed: run \`everlog verify\``,
  );
}

async function putNote({ store, stream, signer }: DigestTreeDeps, size: number, root: Buffer): Promise<void> {
  const note = await signCheckpoint({ stream, size, root }, signer);
  const key = checkpointKey(size);
  const put = await store.putIfAbsent(key, bytesBody(note), { contentType: 'text/plain', kind: 'other' });
  if (put.outcome === 'created') return;
  const standing = await readObject(store, key, NOTE_BYTES_MAX);
  if (standing?.content?.equals(note) === true) return;
  throw giveUp('ledger_damaged', `${key} is another note than this ledger's: run \`everlog verify\``);
}

async function keepFrontier({ notes, stream }: DigestTreeDeps, frontier: Frontier): Promise<void> {
  const roots = frontier.roots.map((root) => root.toString('hex'));
  const text = JSON.stringify({ stream, size: frontier.size, roots });
  await notes.note(FRONTIER_NOTE, text, FRONTIER_KEPT_MS);
}

async function keptFrontier({ notes, stream }: DigestTreeDeps, size: number): Promise<Frontier | null> {
  const [text] = await notes.noted([FRONTIER_NOTE]);
  if (text === undefined || text === null) return null;
  let parsed: z.infer<typeof frontierSchema>;
  try {
    parsed = frontierSchema.parse(JSON.parse(text));
  } catch {
    return null;
  }
  const roots = parsed.roots.map((root) => Buffer.from(root, 'hex'));
  const frontier = { size: parsed.size, roots };
  return parsed.stream === stream && parsed.size === size && isFrontier(frontier) ? frontier : null;
}
