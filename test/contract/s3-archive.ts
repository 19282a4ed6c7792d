import { randomUUID } from 'node:crypto';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { openS3Store } from '../../src/store/s3/s3-object-store.ts';
import type { S3StoreOptions } from '../../src/store/s3/s3-object-store.ts';
import type { InspectedVersion, S3Fake } from '../support/servers/s3-fake/s3-fake.ts';

/** Short enough for a test, long enough for a machine that is busy. */
export const HANG_MS = 400;
/** Three tries, the waits between them, and what a busy machine adds. */
export const GIVEN_UP_WITHIN_MS = 3 * HANG_MS + 3000;

export const UNAVAILABLE = { name: 'EverlogError', code: 'store_unavailable', remedy: { kind: 'retry' } };
export const REFUSED = { name: 'EverlogError', code: 'store_refused', remedy: { kind: 'give_up' } };

export interface S3Archive {
  /** For `beforeEach`: a new bucket with versions and locks on every server. */
  begin(): Promise<void>;
  /** For `afterEach`: closes what was opened and ends all faults. */
  end(): Promise<void>;
  bucket(): string;
  /** A store below the prefix `p`. */
  open(fake: S3Fake, options?: Partial<S3StoreOptions>): ObjectStore;
  /** The versions of one key of the archive, newest first. */
  stored(fake: S3Fake, key: string): InspectedVersion[];
}

/** Archives on S3 servers of this process, one bucket per test. */
export function s3Archive(fakes: readonly S3Fake[]): S3Archive {
  const opened: ObjectStore[] = [];
  let bucket = '';
  return {
    begin: async () => {
      bucket = `b-${randomUUID()}`;
      await Promise.all(fakes.map(async (fake) => fake.createBucket(bucket, { objectLock: true })));
    },
    end: async () => {
      for (const fake of fakes) fake.faults.clear();
      await Promise.all(opened.splice(0).map(async (store) => store.close()));
    },
    bucket: () => bucket,
    open: (fake, options) => {
      const store = openS3Store({
        bucket,
        prefix: 'p',
        forcePathStyle: true,
        endpoint: fake.endpoint,
        credentials: { accessKeyId: fake.accessKeyId, secretAccessKey: fake.secretAccessKey },
        ...options,
      });
      opened.push(store);
      return store;
    },
    stored: (fake, key) => fake.objects(bucket).filter((version) => version.key === `p/${key}`),
  };
}

/** What a piece of work failed with, and when. */
export async function failureOf(work: Promise<unknown>): Promise<{ error: unknown; afterMs: number }> {
  const start = performance.now();
  const error = await work.then(
    () => 'it did not fail',
    (reason: unknown) => reason,
  );
  return { error, afterMs: performance.now() - start };
}
