/**
 * Gathers a stream in memory, up to so many bytes.
 * @throws what `tooMany` makes, as soon as there are more
 */
export async function gatherBytes(
  source: AsyncIterable<unknown>,
  bytesMax: number,
  tooMany: () => Error,
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of source) {
    if (!(chunk instanceof Uint8Array)) throw new Error('a stream of bytes gave something else');
    bytes += chunk.byteLength;
    if (bytes > bytesMax) throw tooMany();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
