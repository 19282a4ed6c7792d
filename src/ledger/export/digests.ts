import { createHash } from 'node:crypto';
import { z } from 'zod';
import { digestFolder, digestKey, DIGESTS_ROOT, sequenceOfDigestKey } from '../../archive/keys.ts';
import { readWhole } from '../../store/object-store.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { parseJsonOrNull } from '../../json-text.ts';

/** What an export reads of a digest. */
const digestFields = z.looseObject({
  schema: z.literal('everlog.digest/v1'),
  sequence: z.int().positive(),
  window_end: z.string().refine((text) => !Number.isNaN(Date.parse(text)), 'no time'),
  entries: z.looseObject({
    file: z.string().regex(/^[0-9a-f]{64}\.entries\.ndjson\.gz$/),
    sha256: z.string(),
    bytes: z.int().nonnegative(),
    stored_sha256: z.string(),
    stored_bytes: z.int().nonnegative(),
    count: z.int().nonnegative(),
    merkle_root: z.string(),
  }),
  key_id: z.string(),
});

/** A digest as it stands in the archive. Whether its signature holds is for whoever verifies the bundle. */
export interface StoredDigest {
  readonly sequence: number;
  readonly windowEndMs: number;
  readonly entries: z.infer<typeof digestFields>['entries'];
  readonly keyId: string;
  /** Of the bytes of `digest.json`: names its signature and its time stamp. */
  readonly sha256: string;
  readonly bytes: Buffer;
}

/** `digest.json` is at most 4,096 bytes; what is longer is none. */
const DIGEST_BYTES_MAX = 4_096;

/**
 * The digests of a ledger in the order of their sequence, found without listing them all. Gaps in the sequence, which are
 * for `verify` to find, do not stop it.
 */
export class Digests {
  readonly #store: ObjectStore;
  readonly #onProblem: (key: string, problem: string) => void;
  /** A search may meet the same one again. */
  readonly #told = new Set<string>();

  /** `onProblem` is told of a digest that cannot be read; it is passed over then. */
  constructor(store: ObjectStore, onProblem: (key: string, problem: string) => void) {
    this.#store = store;
    this.#onProblem = onProblem;
  }

  /** The first digest of this sequence or a later one; null behind the last. */
  async from(sequence: number): Promise<StoredDigest | null> {
    for (let next: number | null = sequence; next !== null; next = await this.#presentAfter(next)) {
      const found = await this.#read(next);
      if (found !== null) return found;
    }
    return null;
  }

  /**
   * The first digest from `sequence` on whose window ends at `momentMs` or later; null when there is none. Windows follow
   * each other, so it is searched for by halves, beginning nearby: mostly the next one is meant.
   */
  async endingFrom(sequence: number, momentMs: number): Promise<StoredDigest | null> {
    const look = async (from: number): Promise<{ found: StoredDigest | null; isLateEnough: boolean }> => {
      const found = await this.from(from);
      return { found, isLateEnough: found === null || found.windowEndMs >= momentMs };
    };
    let early = sequence - 1;
    let late = sequence;
    let looked = await look(late);
    for (let step = 1; !looked.isLateEnough; step *= 2) {
      early = late;
      late += step;
      looked = await look(late);
    }
    let { found } = looked;
    while (late - early > 1) {
      const middle = early + Math.floor((late - early) / 2);
      looked = await look(middle);
      if (looked.isLateEnough) [late, found] = [middle, looked.found];
      else early = middle;
    }
    return found;
  }

  /** The sequence of the next folder that has a digest; leftovers of a crashed sealer are none. */
  async #presentAfter(sequence: number): Promise<number | null> {
    let seen = sequence;
    // `~` sorts behind every name that a digest's folder holds.
    for await (const { key } of this.#store.list(DIGESTS_ROOT, `${digestFolder(sequence)}~`)) {
      const at = sequenceOfDigestKey(key);
      if (at === null || at === seen) continue;
      seen = at;
      if ((await this.#store.head(digestKey(at))) !== null) return at;
    }
    return null;
  }

  async #read(sequence: number): Promise<StoredDigest | null> {
    const key = digestKey(sequence);
    const bytes = (await readWhole(this.#store, key))?.bytes;
    if (bytes === undefined) return null;
    const parsed = digestFields.safeParse(bytes.length > DIGEST_BYTES_MAX ? null : parseJsonOrNull(bytes));
    if (!parsed.success || parsed.data.sequence !== sequence) {
      const [issue] = parsed.error?.issues ?? [];
      const what =
        issue === undefined ? 'it has another sequence' : `${issue.path.join('.')}: ${issue.message}`;
      if (!this.#told.has(key)) this.#onProblem(key, `not a digest (${what})`);
      this.#told.add(key);
      return null;
    }
    const { window_end, entries, key_id } = parsed.data;
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    return { sequence, windowEndMs: Date.parse(window_end), entries, keyId: key_id, sha256, bytes };
  }
}
