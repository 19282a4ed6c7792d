import { parquetMetadata, parquetScan, readColumnIndex, readOffsetIndex } from 'hyparquet';
import type { ColumnChunk, DecodedArray, FileMetaData, RowGroup, SchemaElement } from 'hyparquet';
import { gunzipSync } from 'node:zlib';
import { giveUp, EverlogError, messageOf } from '../../errors.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { LATER_COLUMNS } from './columns.ts';
import { Gone, RangedFile, type ReadMeter, type Span } from './ranged-file.ts';

/** Up to this a file is read whole with one request: a day of an archive of a million jobs a year. */
const WHOLE_FILE_BYTES_MAX = 384 * 1024;
/** The description of a file grows with its row groups, of 2 MB and more each. A guess too small costs a request. */
const FOOTER_BYTES_MIN = 24 * 1024;
const FOOTER_SHARE = 1 / 220;
/** Length and magic number at the end of a Parquet file. */
const TRAILER_BYTES = 8;
/** Requests for the pages of one row group. */
const PAGE_REQUESTS_MAX = 2;

const PARSERS = {
  timestampFromMilliseconds: (ms: bigint | undefined) => (ms === undefined ? undefined : Number(ms)),
};
const COMPRESSORS = { GZIP: (bytes: Uint8Array): Uint8Array => gunzipSync(bytes) };

/** Rows `from` up to but not including `to` of a row group, counted from the group's first. */
export interface RowSpan {
  readonly from: number;
  readonly to: number;
}

/** Columns of some rows, in the order of the rows. */
export type Columns = (name: string) => Promise<DecodedArray>;

/** A Parquet file of the index, of which only what is needed is read. */
export class ParquetFile {
  readonly #file: RangedFile;
  readonly #metadata: FileMetaData;

  private constructor(file: RangedFile, metadata: FileMetaData) {
    this.#file = file;
    this.#metadata = metadata;
  }

  /**
   * Reads the file's description.
   * @throws Gone where it is no longer there; EverlogError `object_corrupt` where it is no Parquet file
   */
  static async open(
    store: Pick<ObjectStore, 'readRange'>,
    object: { readonly key: string; readonly bytes: number },
    meter: ReadMeter,
  ): Promise<ParquetFile> {
    const file = new RangedFile(store, object.key, object.bytes, meter);
    return withRebuildCure(object.key, async () => {
      const guess = Math.round(FOOTER_BYTES_MIN + object.bytes * FOOTER_SHARE);
      let tail = object.bytes <= WHOLE_FILE_BYTES_MAX ? object.bytes : Math.min(guess, object.bytes);
      let buffer = await file.slice(object.bytes - tail);
      const needed = new DataView(buffer).getUint32(buffer.byteLength - TRAILER_BYTES, true) + TRAILER_BYTES;
      if (needed > tail) {
        tail = Math.min(needed, object.bytes);
        buffer = await file.slice(object.bytes - tail);
      }
      return new ParquetFile(file, parquetMetadata(buffer, { parsers: PARSERS }));
    });
  }

  get key(): string {
    return this.#file.key;
  }

  get groups(): readonly RowGroup[] {
    return this.#metadata.row_groups;
  }

  /** Lowest and highest value of a column in a row group; null where the file does not say. Long ones are cut. */
  bounds(group: RowGroup, column: string): { readonly min: unknown; readonly max: unknown } | null {
    const statistics = chunkOf(group, column)?.meta_data?.statistics;
    const { min_value: min, max_value: max } = statistics ?? {};
    return min === undefined || max === undefined ? null : { min, max };
  }

  /** Whether the column is null nowhere in the row group. */
  hasNoNulls(group: RowGroup, column: string): boolean {
    return chunkOf(group, column)?.meta_data?.statistics?.null_count === 0n;
  }

  /** The bytes of a bloom filter; null where the column has none there. */
  async bloom(group: RowGroup, column: string): Promise<ArrayBuffer | null> {
    const { bloom_filter_offset: offset, bloom_filter_length: length } =
      chunkOf(group, column)?.meta_data ?? {};
    if (offset === undefined || length === undefined) return null;
    return withRebuildCure(this.key, async () => this.#file.slice(Number(offset), Number(offset) + length));
  }

  elementOf(column: string): SchemaElement {
    const element = this.#metadata.schema.find(({ name }) => name === column);
    if (element === undefined) throw giveUp('object_corrupt', `${this.key} has no column ${column}`);
    return element;
  }

  #has(column: string): boolean {
    return this.#metadata.schema.some(({ name }) => name === column);
  }

  /**
   * The rows of a group in whose pages `isWanted` finds the bounds of `column`, as one span; null where there are none.
   * Fetches with the page index what `readRows` will need of `columns`.
   */
  async narrow(
    group: RowGroup,
    column: string,
    columns: readonly string[],
    isWanted: (min: unknown, max: unknown) => boolean,
  ): Promise<RowSpan | null> {
    const rows = Number(group.num_rows);
    const chunk = chunkOf(group, column);
    const index = spanOf(chunk?.column_index_offset, chunk?.column_index_length);
    if (chunk === undefined || index === null) return { from: 0, to: rows };
    return withRebuildCure(this.key, async () => {
      const indexes = [column, ...columns].map((name) => offsetIndexSpan(chunkOf(group, name)));
      await this.#file.prefetch([index, ...indexes.filter((span) => span !== null)], PAGE_REQUESTS_MAX);
      const pages = await this.#pages(chunk);
      const view = new DataView(await this.#file.slice(index.from, index.to));
      const bounds = readColumnIndex({ view, offset: 0 }, this.elementOf(column), PARSERS);
      const wanted = pages.flatMap((_page, at) =>
        isWanted(bounds.min_values[at], bounds.max_values[at]) ? [at] : [],
      );
      const [first] = wanted;
      const last = wanted.at(-1);
      if (first === undefined || last === undefined) return null;
      return { from: pages[first]?.row ?? 0, to: pages[last + 1]?.row ?? rows };
    });
  }

  /** Fetches some rows of a group and answers their columns, each decoded when it is asked for. */
  async readRows(group: RowGroup, rows: RowSpan, columns: readonly string[]): Promise<Columns> {
    const lacking = new Set(columns.filter((column) => LATER_COLUMNS.has(column) && !this.#has(column)));
    const first = this.groups
      .slice(0, this.groups.indexOf(group))
      .reduce((sum, { num_rows }) => sum + Number(num_rows), 0);
    const scan = await withRebuildCure(this.key, async () => {
      await this.#fetchRows(group, rows, columns);
      return parquetScan({
        file: this.#file,
        metadata: this.#metadata,
        columns: columns.filter((column) => !lacking.has(column)),
        parsers: PARSERS,
        compressors: COMPRESSORS,
      });
    });
    const range = { rowStart: first + rows.from, rowEnd: first + rows.to };
    return async (column) =>
      lacking.has(column)
        ? Array.from({ length: rows.to - rows.from }, () => null)
        : withRebuildCure(this.key, () => scan.readColumn({ column, ...range }));
  }

  /** Fetches a row group whole with one request, and the places of its pages with another. */
  async fetch(group: RowGroup): Promise<void> {
    const indexes = group.columns.map((chunk) => offsetIndexSpan(chunk)).filter((span) => span !== null);
    await withRebuildCure(this.key, async () => {
      await this.#file.prefetch(
        group.columns.map((chunk) => chunkSpan(chunk)),
        1,
      );
      await this.#file.prefetch(indexes, 1);
    });
  }

  /** Gives back the memory of rows that were read. */
  release(): void {
    this.#file.release();
  }

  async #fetchRows(group: RowGroup, rows: RowSpan, columns: readonly string[]): Promise<void> {
    const chunks = group.columns.filter(({ meta_data }) =>
      columns.includes(meta_data?.path_in_schema[0] ?? ''),
    );
    const isNarrow = rows.from > 0 || rows.to < Number(group.num_rows);
    if (isNarrow) {
      const indexes = chunks.map((chunk) => offsetIndexSpan(chunk)).filter((span) => span !== null);
      await this.#file.prefetch(indexes, 1);
    }
    const spans: Span[] = [];
    for (const chunk of chunks) {
      const whole = chunkSpan(chunk);
      const pages = isNarrow ? await this.#pages(chunk) : [];
      const [first] = pages;
      if (first === undefined) {
        spans.push(whole);
        continue;
      }
      const wanted = pages.filter(
        ({ row }, at) => row < rows.to && (pages[at + 1]?.row ?? Number(group.num_rows)) > rows.from,
      );
      const [from] = wanted;
      const to = wanted.at(-1);
      if (from === undefined || to === undefined) continue;
      spans.push({ from: whole.from, to: first.from }, { from: from.from, to: to.to });
    }
    await this.#file.prefetch(spans, PAGE_REQUESTS_MAX);
  }

  /** Pages of a column chunk in their order; none where there is only one. */
  async #pages(chunk: ColumnChunk): Promise<readonly (Span & { readonly row: number })[]> {
    const span = offsetIndexSpan(chunk);
    if (span === null) return [];
    const view = new DataView(await this.#file.slice(span.from, span.to));
    return readOffsetIndex({ view, offset: 0 }).page_locations.map((page) => ({
      from: Number(page.offset),
      to: Number(page.offset) + page.compressed_page_size,
      row: Number(page.first_row_index),
    }));
  }
}

function chunkOf(group: RowGroup, column: string): ColumnChunk | undefined {
  return group.columns.find(({ meta_data }) => meta_data?.path_in_schema[0] === column);
}

function chunkSpan({ meta_data }: ColumnChunk): Span {
  if (meta_data === undefined) throw giveUp('object_corrupt', 'a column chunk that is not described');
  const from = Number(meta_data.dictionary_page_offset ?? meta_data.data_page_offset);
  return { from, to: from + Number(meta_data.total_compressed_size) };
}

function offsetIndexSpan(chunk: ColumnChunk | undefined): Span | null {
  return spanOf(chunk?.offset_index_offset, chunk?.offset_index_length);
}

function spanOf(offset: bigint | undefined, length: number | undefined): Span | null {
  return offset === undefined || length === undefined
    ? null
    : { from: Number(offset), to: Number(offset) + length };
}

/** Whatever a Parquet reader fails with, the file is to blame; the store's failures and missing files pass. */
async function withRebuildCure<T>(key: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof EverlogError || error instanceof Gone) throw error;
    const message = `${key} cannot be read (${messageOf(error)}): run \`everlog index rebuild\``;
    throw giveUp('object_corrupt', message, error);
  }
}
