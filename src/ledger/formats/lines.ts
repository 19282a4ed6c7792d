import { giveUp } from '../../errors.ts';

const LINE_FEED = 0x0a;
/** An entry measures some hundred bytes, a few thousand with the longest names; more is no line of ours. */
const LINE_BYTES_MAX = 64 * 1024;

/**
 * Lines of a stream of bytes, without their line feeds; holds one chunk and one line at a time.
 * @throws EverlogError `object_corrupt` for a line of more than 64 KiB
 */
export async function* linesOf(source: AsyncIterable<unknown>): AsyncGenerator<string> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of source) {
    if (!(chunk instanceof Uint8Array)) throw new Error('lines were not read as bytes');
    const bytes: Buffer = rest.byteLength === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk]);
    let start = 0;
    for (let end = bytes.indexOf(LINE_FEED); end !== -1; end = bytes.indexOf(LINE_FEED, start)) {
      yield bytes.toString('utf8', start, end);
      start = end + 1;
    }
    rest = bytes.subarray(start);
    if (rest.byteLength > LINE_BYTES_MAX)
      throw giveUp('object_corrupt', `a line of more than ${LINE_BYTES_MAX} bytes`);
  }
  if (rest.byteLength > 0) yield rest.toString('utf8');
}
