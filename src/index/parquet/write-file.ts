import { ByteWriter, ParquetWriter } from 'hyparquet-writer';
import { gzipSync } from 'node:zlib';
import { columnData, schemaOf, type Column } from './columns.ts';

/** Smaller groups cost SQL engines a request for each column and group. */
const ROW_GROUP_ROWS = 32_768;
/** What a search by page index reads at least of each column. */
const PAGE_BYTES = 16 * 1024;
/** The default of 16 cuts repository names so that whole owners look alike. */
const STATISTICS_BYTES_MAX = 64;
const GZIP_LEVEL = 6;

/** Takes the bytes of a file in order. The bytes MUST NOT be changed afterwards. */
export type Sink = (bytes: Uint8Array) => Promise<void>;

/**
 * Writes rows as a Parquet file, holding one row group at a time. The rows come sorted; answers how many there were, and
 * writes nothing where there is none.
 */
export async function writeParquet(
  columns: readonly Column[],
  rows: AsyncIterable<object> | Iterable<object>,
  sink: Sink,
): Promise<number> {
  const out = new SinkWriter(sink);
  let file: ParquetWriter | null = null;
  let group: object[] = [];
  let count = 0;
  const writeGroup = async (): Promise<void> => {
    file ??= new ParquetWriter({
      writer: out,
      schema: schemaOf(columns),
      codec: 'GZIP',
      compressors: { GZIP: (bytes) => gzipSync(bytes, { level: GZIP_LEVEL }) },
      statisticsTruncateLength: STATISTICS_BYTES_MAX,
      createdBy: 'everlog',
    });
    await file.write({
      columnData: columnData(columns, group),
      rowGroupSize: ROW_GROUP_ROWS,
      pageSize: PAGE_BYTES,
    });
    count += group.length;
    group = [];
  };
  for await (const row of rows) {
    group.push(row);
    if (group.length === ROW_GROUP_ROWS) await writeGroup();
  }
  if (group.length > 0) await writeGroup();
  await finishFile(file);
  if (count > 0) await out.flush();
  return count;
}

/** Of its own because the compiler does not see that `file` was set in a closure. */
async function finishFile(file: ParquetWriter | null): Promise<void> {
  await file?.finish();
}

/** Hands on what is written after each row group, so that one is held. */
class SinkWriter extends ByteWriter {
  readonly #sink: Sink;

  constructor(sink: Sink) {
    super();
    this.#sink = sink;
  }

  async flush(): Promise<void> {
    const bytes = new Uint8Array(this.getBuffer());
    this.index = 0;
    await this.#sink(bytes);
  }

  /** Nothing: the writer does not wait for this. */
  override finish(): void {}
}
