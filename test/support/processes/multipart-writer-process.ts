/**
 * Stores large objects in parts, for tests that kill it: `multipart-writer-process.ts BUCKET KEY…`, the store by the SDK's own variables.
 * An object's bytes follow from its key. It prints one JSON line for each object that stands.
 */
import { createHash } from 'node:crypto';
import { openS3Store } from '../../../src/store/s3/s3-object-store.ts';
import { largeObject } from '../oracles/large-object.ts';

const SINGLE_PUT_BYTES_MAX = 8 * 1024 * 1024;

const [bucket = '', ...keys] = process.argv.slice(2);
const store = openS3Store({
  bucket,
  prefix: '',
  forcePathStyle: true,
  ...(process.env['AWS_ENDPOINT_URL_S3'] === undefined
    ? {}
    : { endpoint: process.env['AWS_ENDPOINT_URL_S3'] }),
  singlePutBytesMax: SINGLE_PUT_BYTES_MAX,
});
await Promise.all(
  keys.map(async (key) => {
    const bytes = largeObject(key);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const body = { bytes: bytes.length, sha256, open: () => bytes };
    const { outcome } = await store.putIfAbsent(key, body, { contentType: 'application/gzip', kind: 'log' });
    process.stdout.write(`${JSON.stringify({ key, outcome })}\n`);
  }),
);
await store.close();
