import { randomUUID } from 'node:crypto';
import { afterAll } from 'vitest';
import { openFolderStore } from '../../src/store/folder/folder-object-store.ts';
import { openS3Store } from '../../src/store/s3/s3-object-store.ts';
import { removeTemporaryFolder, temporaryFolder } from '../support/processes/processes.ts';
import type { BucketOptions, S3Server } from '../support/servers/s3-connection.ts';
import { startS3Fake } from '../support/servers/s3-fake/s3-fake.ts';
import { runS3 } from '../support/servers/services.ts';
import { objectStoreContract, type Archive } from './object-store.contract.ts';

const honouring = await startS3Fake();
const ignoring = await startS3Fake({ honourCreateOnly: false });
const real = await runS3();
const folders: string[] = [];

afterAll(async () => {
  await Promise.all([honouring.stop(), ignoring.stop()]);
  for (const folder of folders) removeTemporaryFolder(folder);
});

/** Each archive has its own prefix in a bucket made at the first. */
function archivesOn(server: S3Server, options: BucketOptions): () => Promise<Archive> {
  const bucket = `archives-${randomUUID()}`;
  let made: Promise<void> | null = null;
  return async () => {
    made ??= server.createBucket(bucket, options);
    await made;
    const prefix = `team & co/${randomUUID()}`;
    return {
      open: async () =>
        openS3Store({
          bucket,
          prefix,
          forcePathStyle: true,
          endpoint: server.endpoint,
          region: server.region,
          credentials: { accessKeyId: server.accessKeyId, secretAccessKey: server.secretAccessKey },
        }),
    };
  };
}

const createOnly = { createOnly: 'atomic', metadata: true, locks: false } as const;
const overwriting = { createOnly: 'checked', metadata: true, locks: false } as const;

objectStoreContract(
  'a folder',
  { createOnly: 'atomic', versions: false, metadata: false, locks: false, sha256: false },
  async () => {
    const parent = temporaryFolder();
    folders.push(parent);
    return { open: async () => openFolderStore({ folder: `${parent}/made/at first use` }) };
  },
);

objectStoreContract(
  'S3 as AWS does it, with versions and locks',
  { ...createOnly, versions: true, locks: true, sha256: true },
  archivesOn(honouring, { objectLock: true }),
);

objectStoreContract(
  'S3 that ignores If-None-Match',
  { ...overwriting, versions: true, sha256: true },
  archivesOn(ignoring, { versioning: true }),
);

objectStoreContract(
  `the S3 server of this run (${real.kind}), with versions and locks`,
  {
    ...(real.honoursCreateOnly ? createOnly : overwriting),
    versions: true,
    locks: true,
    sha256: real.kind === 'ceph' ? false : 'either',
  },
  archivesOn(real, { objectLock: true }),
);

objectStoreContract(
  `the S3 server of this run (${real.kind}), without versions`,
  {
    // Ceph honours the condition only where there are no versions.
    ...(real.honoursCreateOnly || real.kind === 'ceph' ? createOnly : overwriting),
    versions: false,
    sha256: real.kind === 'ceph' ? false : 'either',
  },
  archivesOn(real, {}),
);
