import { digestKey } from '../../archive/keys.ts';
import type { BundleFolder } from './bundle-folder.ts';
import { auditPathsPath, entryLinesPath } from './bundle-layout.ts';
import type { PathLine } from './bundle-layout.ts';
import type { StoredDigest } from './digests.ts';
import type { SealedLine } from './sealed-lines.ts';

interface Line {
  readonly index: number;
  readonly entry: string;
  readonly path: string;
}

/** The entry lines of a bundle, by digest, and the digests they came from. */
export class EntryFiles {
  readonly #folder: BundleFolder;
  readonly #digests = new Map<number, StoredDigest>();

  constructor(folder: BundleFolder) {
    this.#folder = folder;
  }

  /** The digests that have lines in the bundle, ascending. */
  digests(): readonly StoredDigest[] {
    return [...this.#digests.values()].sort((a, b) => a.sequence - b.sequence);
  }

  /** Adds lines of one digest to those that stand in the bundle already. */
  async add(digest: StoredDigest, lines: readonly SealedLine[]): Promise<void> {
    const { sequence } = digest;
    const standing = this.#digests.has(sequence) ? await this.#read(sequence) : [];
    if (!this.#digests.has(sequence)) await this.#folder.write(digestKey(sequence), digest.bytes);
    this.#digests.set(sequence, digest);
    const all = [...standing, ...lines.map(lineOf)].sort((a, b) => a.index - b.index);
    await this.#folder.write(entryLinesPath(sequence), joined(all.map(({ entry }) => entry)));
    await this.#folder.write(auditPathsPath(sequence), joined(all.map(({ path }) => path)));
  }

  async #read(sequence: number): Promise<Line[]> {
    const [entries, paths] = await Promise.all(
      [entryLinesPath(sequence), auditPathsPath(sequence)].map((path) => this.#folder.read(path)),
    );
    const pathLines = linesIn(paths ?? null);
    return linesIn(entries ?? null).map((entry, at) => {
      const path = pathLines[at] ?? '';
      return { index: Number(/^\{"index":(\d+),/.exec(path)?.[1]), entry, path };
    });
  }
}

function lineOf({ line, leaf }: SealedLine): Line {
  const path: PathLine = {
    index: leaf.index,
    leaf: leaf.leaf.toString('hex'),
    path: leaf.path.map((hash) => hash.toString('hex')),
  };
  // Latin-1 keeps every byte as it is, whatever the line holds.
  return { index: leaf.index, entry: line.toString('latin1'), path: JSON.stringify(path) };
}

function joined(lines: readonly string[]): Buffer {
  return Buffer.from(lines.map((line) => `${line}\n`).join(''), 'latin1');
}

function linesIn(bytes: Buffer | null): string[] {
  return bytes === null ? [] : bytes.toString('latin1').split('\n').slice(0, -1);
}
