import { verify } from 'node:crypto';
import { digestKey, digestSignatureKey } from '../../../archive/keys.ts';
import type { Digest } from '../../formats/formats.ts';
import { noteKeyOf, type DigestFacts } from './digest-facts.ts';
import type { KeyRing } from './key-ring.ts';
import { GrowingTree, leafHash } from './merkle.ts';
import { isSignedBy, parseCheckpoint, type Checkpoint } from './note.ts';
import { digestsNamed, type Result } from '../results.ts';

/** What became of one digest. */
export interface Judgement {
  readonly results: readonly Result[];
  /** What it says is what its signer sealed. */
  readonly believed: boolean;
  /** Its bytes are not those that were signed: what it says of other files accuses nobody. */
  readonly damaged: boolean;
}

/**
 * The chain of digests, judged link by link.
 *
 * `MODIFIED` are bytes that differ from what was sealed: a digest beside the signature of other bytes, one that is none, or
 * one in another's place. `BAD_SIGNATURE` is a signature that is missing or does not fit. `FORKED` needs two sound
 * signatures that contradict each other: whoever has the key has written two histories. A break that a damaged or missing
 * neighbour explains is not reported again.
 */
export class Chain {
  readonly #ring: KeyRing;
  readonly #isBundle: boolean;
  readonly #tree = new GrowingTree();
  /** Why roots cannot be checked any more; null while they can. */
  #treeLacks: string | null = null;
  /** Whether the tree has leaves that nobody vouched for. */
  #isDoubtful = false;
  #isLackReported = false;
  #last: {
    readonly sequence: number;
    readonly sha256: string;
    digest: Digest | null;
    believed: boolean;
  } | null = null;
  #latestCreatedMs = 0;
  #stream: string | null = null;
  #first: number | null = null;
  /** Roots that an anchor will be compared with, by size. */
  readonly #wantedRoots = new Map<number, Buffer | null>();
  /** Hashes of digests that an anchor will be compared with, by sequence. */
  readonly #wantedHashes = new Map<number, string | null>();

  constructor(ring: KeyRing, isBundle: boolean) {
    this.#ring = ring;
    this.#isBundle = isBundle;
  }

  get first(): number | null {
    return this.#first;
  }

  /** The last digest there is. */
  get last(): { readonly sequence: number; readonly digest: Digest | null; readonly sha256: string } | null {
    return this.#last;
  }

  /** When the believed digest that says so latest was made; no later one was made before. */
  get latestCreatedMs(): number {
    return this.#latestCreatedMs;
  }

  /** Has the tree's root of this size kept; to be asked before the walk. */
  wantRoot(size: number): void {
    this.#wantedRoots.set(size, null);
  }

  /** Has the hash of this digest kept; to be asked before the walk. */
  wantHash(sequence: number): void {
    this.#wantedHashes.set(sequence, null);
  }

  /** SHA-256 of a digest that was asked for; null where there is none. */
  hashAt(sequence: number): string | null {
    return this.#wantedHashes.get(sequence) ?? null;
  }

  /** The root of the first `size` digests; null where it was not kept or could not be known. */
  rootAt(size: number): Buffer | null {
    return this.#wantedRoots.get(size) ?? null;
  }

  /** Judges the next digest that there is. */
  judge(facts: DigestFacts): Judgement {
    const results: Result[] = [];
    this.#first ??= facts.sequence;
    this.#noteHole(facts.sequence, results);
    const own = this.#judgeItself(facts);
    if (own !== null) results.push(own);
    const believed = own === null;
    if (believed && facts.digest !== null) results.push(...this.#judgeLink(facts, facts.digest));
    this.#grow(facts, own);
    results.push(...this.#judgeNote(facts, believed));
    this.#last = { sequence: facts.sequence, sha256: facts.sha256, digest: facts.digest, believed };
    return { results, believed, damaged: own?.result === 'MODIFIED' };
  }

  #noteHole(sequence: number, results: Result[]): void {
    const expected = (this.#last?.sequence ?? 0) + 1;
    if (sequence === expected) return;
    const missing = digestsNamed(expected, sequence - 1);
    this.#treeLacks ??= `${missing} ${expected === sequence - 1 ? 'is' : 'are'} missing`;
    if (this.#isBundle) return;
    const detail = `${missing} ${expected === sequence - 1 ? 'is' : 'are'} missing before digest ${sequence}`;
    results.push({ result: 'GAP', key: digestKey(expected), detail });
  }

  #judgeItself(facts: DigestFacts): Result | null {
    const { key, digest, sequence, signature, sha256 } = facts;
    const hasOther = [...facts.place.files.keys()].some((name) => name.endsWith('.sig'));
    const modified = (detail: string): Result => ({ result: 'MODIFIED', key, detail });
    if (signature === null && hasOther) return modified('the signature beside it is of other bytes');
    if (digest === null) return modified(`it is no digest: ${facts.problem}`);
    if (digest.sequence !== sequence) {
      return modified(`it is digest ${digest.sequence}, in the place of ${sequence}`);
    }
    const signatureKey = digestSignatureKey(sequence, sha256);
    if (signature === null)
      return { result: 'BAD_SIGNATURE', key: signatureKey, detail: 'there is no signature' };
    const createdMs = Date.parse(digest.created_at);
    // A digest cannot have been made before the one that it follows, whatever it says itself.
    const judged = this.#ring.judge(digest.key_id, Math.max(createdMs, this.#latestCreatedMs));
    if (judged.trust !== 'believed') {
      const result = judged.trust === 'revoked' ? 'REVOKED_KEY' : 'UNKNOWN_KEY';
      return { result, key, detail: judged.problem };
    }
    if (facts.bytes === null || !verify(null, facts.bytes, judged.key, signature)) {
      return { result: 'BAD_SIGNATURE', key: signatureKey, detail: `it is not by key ${digest.key_id}` };
    }
    this.#latestCreatedMs = Math.max(createdMs, this.#latestCreatedMs);
    this.#ring.noteSigned(digest.key_id);
    return null;
  }

  #judgeLink(facts: DigestFacts, digest: Digest): Result[] {
    const { key, sequence } = facts;
    const forked = (detail: string): Result => ({ result: 'FORKED', key, detail });
    this.#stream ??= digest.stream;
    if (digest.stream !== this.#stream) return [forked(`it belongs to another ledger, ${digest.stream}`)];
    const { previous } = digest;
    if ((previous?.sequence ?? 0) !== sequence - 1) {
      return [forked(`it follows ${previous === null ? 'none' : `digest ${previous.sequence}`}`)];
    }
    const last = this.#last;
    if (last === null || !last.believed || last.digest === null || last.sequence !== sequence - 1) return [];
    if (previous?.sha256 !== last.sha256) {
      return [forked(`it follows another digest ${last.sequence}, of SHA-256 ${previous?.sha256 ?? ''}`)];
    }
    if (last.digest.final) return [forked(`digest ${last.sequence} had closed the ledger`)];
    if (Date.parse(digest.window_start) === Date.parse(last.digest.window_end)) return [];
    const detail = `its window begins at ${digest.window_start}, the one before ends at ${last.digest.window_end}`;
    return [{ result: 'GAP', key, detail }];
  }

  #grow({ sequence, bytes, sha256 }: DigestFacts, own: Result | null): void {
    if (own?.result === 'MODIFIED') this.#treeLacks ??= `digest ${sequence} is damaged`;
    if (own !== null) this.#isDoubtful = true;
    // A damaged digest is reported as that, whatever an anchor has in its place.
    if (this.#wantedHashes.has(sequence) && own?.result !== 'MODIFIED')
      this.#wantedHashes.set(sequence, sha256);
    if (bytes === null || this.#treeLacks !== null) return;
    this.#tree.add(leafHash(bytes));
    if (this.#wantedRoots.has(sequence)) this.#wantedRoots.set(sequence, this.#tree.root());
  }

  #judgeNote(facts: DigestFacts, believed: boolean): Result[] {
    const key = noteKeyOf(facts);
    // Whether one is missing is judged when it is known which digest is the last.
    if (facts.note === null) return [];
    const note = parseCheckpoint(facts.note);
    const bad = (detail: string): Result[] => [{ result: 'BAD_SIGNATURE', key, detail }];
    if (note === null) return bad('it is no checkpoint');
    if (!this.#isSigned(note, believed ? facts.digest : null)) {
      // Beside a digest that is not believed, a note by the same hand says nothing new.
      return believed || facts.digest === null ? bad('it is not signed by the digest’s key') : [];
    }
    const forked = (detail: string): Result[] => [{ result: 'FORKED', key, detail }];
    if (note.size !== facts.sequence) return forked(`it is of ${note.size} digests`);
    if (this.#stream !== null && note.origin !== this.#stream) {
      return forked(`it belongs to another ledger, ${note.origin}`);
    }
    if (this.#treeLacks === null && note.root.equals(this.#tree.root())) return [];
    if (this.#treeLacks === null && !this.#isDoubtful) {
      return forked('it was signed over other digests than those that stand here');
    }
    return this.#lack(key);
  }

  #lack(key: string): Result[] {
    if (this.#isLackReported) return [];
    this.#isLackReported = true;
    const why = this.#treeLacks ?? 'a digest before it is not believed';
    const detail = `the roots of this note and of those after it cannot be checked: ${why}`;
    return [{ result: 'NOT_CHECKED', key, detail }];
  }

  #isSigned(note: Checkpoint, digest: Digest | null): boolean {
    if (digest === null) return this.#ring.believedKeys().some((key) => isSignedBy(note, key));
    const judged = this.#ring.judge(digest.key_id, Date.parse(digest.created_at));
    return judged.trust === 'believed' && isSignedBy(note, judged.key);
  }
}
