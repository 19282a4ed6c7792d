import { Readable } from 'node:stream';
import { digestKey } from '../../archive/keys.ts';
import type { BundleFolder } from './bundle/bundle-folder.ts';
import { auditPathsPath, entryLinesPath } from './bundle/bundle-layout.ts';
import type { PathLine } from './bundle/bundle-layout.ts';
import type { StoredDigest } from './digests.ts';
import type { SealedLine } from './sealed-lines.ts';

/** A line of a bundle's entries and of its paths; written out only when its turn comes. */
interface LeafLine {
  readonly index: number;
  readonly entry: () => Buffer;
  readonly path: () => string;
}

/** Lines written at once: few writes, little memory. */
const LINES_AT_ONCE = 256;

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
    const all = [...standing, ...lines.map(pathLine)].sort((a, b) => a.index - b.index);
    await this.#write(entryLinesPath(sequence), all, (line) => line.entry());
    await this.#write(auditPathsPath(sequence), all, (line) => Buffer.from(line.path()));
  }

  async #write(path: string, lines: readonly LeafLine[], bytesOf: (line: LeafLine) => Buffer): Promise<void> {
    await this.#folder.copy(path, Readable.from(lineChunks(lines, bytesOf), { objectMode: false }));
  }

  async #read(sequence: number): Promise<LeafLine[]> {
    const [entries, paths] = await Promise.all(
      [entryLinesPath(sequence), auditPathsPath(sequence)].map((path) => this.#folder.read(path)),
    );
    const pathLines = splitLines(paths ?? null);
    return splitLines(entries ?? null).map((entry, at) => {
      const path = pathLines[at] ?? '';
      const index = Number(/^\{"index":(\d+),/.exec(path)?.[1]);
      // Latin-1 keeps every byte as it is, whatever the line holds.
      return { index, entry: () => Buffer.from(entry, 'latin1'), path: () => path };
    });
  }
}

function* lineChunks(lines: readonly LeafLine[], bytesOf: (line: LeafLine) => Buffer): Generator<Buffer> {
  const lineFeed = Buffer.from('\n');
  for (let at = 0; at < lines.length; at += LINES_AT_ONCE) {
    yield Buffer.concat(lines.slice(at, at + LINES_AT_ONCE).flatMap((line) => [bytesOf(line), lineFeed]));
  }
}

function pathLine({ line, leaf }: SealedLine): LeafLine {
  return { index: leaf.index, entry: () => line, path: () => JSON.stringify(pathLineOf(leaf)) };
}

function pathLineOf({ index, leaf, path }: SealedLine['leaf']): PathLine {
  return { index, leaf: leaf.toString('hex'), path: path.map((hash) => hash.toString('hex')) };
}

function splitLines(bytes: Buffer | null): string[] {
  return bytes === null ? [] : bytes.toString('latin1').split('\n').slice(0, -1);
}
