import { Readable } from 'node:stream';
import type { ListedObject, ObjectHead, ObjectStore } from '../../../src/store/object-store.ts';
import { compareKeys } from '../../../src/store/object-key.ts';

interface Kept {
  readonly head: ObjectHead;
  readonly bytes: Buffer;
}

/**
 * A store over another that is only read: what is put stays in memory. One archive serves hundreds of tries, each of which
 * begins with it as it was. Ranges, versions, locks and removal are the other's.
 */
export function scratchStore(base: ObjectStore): ObjectStore {
  const kept = new Map<string, Kept>();
  return {
    ...base,
    async putIfAbsent(key, body) {
      if (kept.has(key) || (await base.head(key)) !== null) return { outcome: 'exists' };
      const opened = body.open();
      const bytes = opened instanceof Uint8Array ? Buffer.from(opened) : await bytesOf(opened);
      const head = {
        key,
        bytes: bytes.byteLength,
        versionId: null,
        lastModified: new Date(),
        metadata: {},
        sha256: null,
      };
      kept.set(key, { head, bytes });
      return { outcome: 'created', versionId: null };
    },
    head: async (key) => kept.get(key)?.head ?? base.head(key),
    async read(key) {
      const found = kept.get(key);
      if (found === undefined) return base.read(key);
      return { head: found.head, body: Readable.from([found.bytes], { objectMode: false }) };
    },
    async *list(prefix, startAfter) {
      const listed: ListedObject[] = [...kept.values()]
        .map(({ head: { key, bytes, lastModified } }) => ({ key, bytes, lastModified }))
        .filter(
          ({ key }) =>
            key.startsWith(prefix) && (startAfter === undefined || compareKeys(key, startAfter) > 0),
        );
      for await (const one of base.list(prefix, startAfter)) listed.push(one);
      yield* listed.sort((a, b) => compareKeys(a.key, b.key));
    },
  };
}

async function bytesOf(stream: Readable): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) {
    if (!(chunk instanceof Uint8Array)) throw new Error('a body of something else than bytes');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
