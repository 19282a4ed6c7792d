import type { ObjectStore } from '../../store/object-store.ts';
import { ParquetFile } from '../parquet/read-file.ts';
import { storePart } from './store-part.ts';
import { mergeSorted, type Table } from './tables.ts';

/** Rows held before they are sorted and put aside, about a kilobyte each. */
const ROWS_HELD_MAX = 65_536;

/** Where rows that do not fit into memory wait to be merged: a store of its own that is thrown away afterwards. */
export interface Scratch {
  readonly store: ObjectStore;
  readonly spoolDir: string;
}

/** Takes rows in any order and gives them back sorted, partition by partition, however many there are. */
export class SortedPartitions<T extends object> {
  readonly #table: Table<T>;
  readonly #scratch: Scratch;
  readonly #name: string;
  readonly #held = new Map<string, T[]>();
  readonly #aside = new Map<string, string[]>();
  #count = 0;
  #files = 0;

  /** `name` keeps several apart that share a scratch store. */
  constructor(table: Table<T>, scratch: Scratch, name: string) {
    this.#table = table;
    this.#scratch = scratch;
    this.#name = name;
  }

  async add(partition: string, row: T): Promise<void> {
    const rows = this.#held.get(partition);
    if (rows === undefined) this.#held.set(partition, [row]);
    else rows.push(row);
    this.#count += 1;
    if (this.#count >= ROWS_HELD_MAX) await this.#putAside();
  }

  /** Each partition with its rows in order, once; they MUST be read before the next partition is asked for. */
  async *partitions(): AsyncGenerator<readonly [string, AsyncGenerator<T>]> {
    for (const partition of new Set([...this.#aside.keys(), ...this.#held.keys()])) {
      const held = (this.#held.get(partition) ?? []).sort(this.#table.compare);
      const files = this.#aside.get(partition) ?? [];
      yield [partition, mergeSorted(this.#table, [held, ...files.map((key) => this.#read(key))])];
    }
  }

  async #putAside(): Promise<void> {
    for (const [partition, rows] of this.#held) {
      this.#files += 1;
      const key = `${this.#name}/${this.#files}.parquet`;
      const sorted = rows.sort(this.#table.compare);
      await storePart(this.#scratch.store, key, this.#table, sorted, this.#scratch.spoolDir);
      this.#aside.set(partition, [...(this.#aside.get(partition) ?? []), key]);
    }
    this.#held.clear();
    this.#count = 0;
  }

  async *#read(key: string): AsyncGenerator<T> {
    const head = await this.#scratch.store.head(key);
    if (head === null) throw new Error(`${key} is gone from the scratch store`);
    const file = await ParquetFile.open(this.#scratch.store, head, { requests: 0, bytes: 0 });
    yield* this.#table.read(file);
  }
}
