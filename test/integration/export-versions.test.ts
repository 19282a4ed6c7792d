import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { expect, onTestFinished, test } from 'vitest';
import { digestKey, digestSignatureKey } from '../../src/archive/keys.ts';
import { readWhole } from '../../src/store/object-store.ts';
import { sha256 } from '../support/oracles/ledger-maker.ts';
import { openS3Store } from '../../src/store/s3/s3-object-store.ts';
import { seal } from '../../src/ledger/seal/seal.ts';
import { makeRecord, storeJob } from '../support/oracles/archived-jobs.ts';
import { exportTo, runVerify } from '../support/harness/bundle-under-test.ts';
import { removeTemporaryFolder, temporaryFolder } from '../support/processes/processes.ts';
import { startWithBucket } from '../support/servers/s3-fake-fixture.ts';
import { memoryQueue, sealerOf } from '../support/harness/sealing-under-test.ts';
import { recordKeyOf } from '../support/oracles/small-ledger.ts';

test('of an object with several versions, the sealed one is exported, also from behind a delete marker', async () => {
  const { fake, client, Bucket } = await startWithBucket({ versioning: true });
  const store = openS3Store({
    bucket: Bucket,
    prefix: 'archive',
    forcePathStyle: true,
    endpoint: fake.endpoint,
    credentials: { accessKeyId: fake.accessKeyId, secretAccessKey: fake.secretAccessKey },
    lockMode: 'none',
  });
  const folder = temporaryFolder('everlog-versions-');
  onTestFinished(() => removeTemporaryFolder(folder));
  mkdirSync(join(folder, 'spool'));
  const [shadowed, hidden] = [
    await storeJob(store, makeRecord({ job_id: 1 }), 'sealed log\n'),
    await storeJob(store, makeRecord({ job_id: 2 }), 'other log\n'),
  ];
  const queue = memoryQueue();
  const sealer = sealerOf(store, queue);
  expect((await seal(sealer, { final: false })).outcome).toBe('sealed');

  const shadow = { ...shadowed, conclusion: 'failure' };
  const Body = `${JSON.stringify(shadow)}\n`;
  await client.send(new PutObjectCommand({ Bucket, Key: `archive/${recordKeyOf(shadowed)}`, Body }));
  await client.send(new DeleteObjectCommand({ Bucket, Key: `archive/${hidden.log?.key ?? ''}` }));

  const bundle = join(folder, 'bundle');
  const { report, problems } = await exportTo(store, bundle, { madeAt: new Date() });
  expect(report.rows.map(({ status }) => status)).toEqual(['sealed', 'sealed']);
  expect(JSON.parse(readFileSync(join(bundle, recordKeyOf(shadowed)), 'utf8'))).toMatchObject({
    conclusion: 'success',
  });
  expect(problems).toEqual([
    `${recordKeyOf(shadowed)}: was written again after it was sealed; the sealed version is exported`,
  ]);
  expect(report.rows.map(({ record }) => record?.facts.conclusion)).toEqual(['success', 'success']);
  const verdict = await runVerify(bundle, join(folder, 'spool'), sealer.signer.keyId);
  expect(verdict).toMatchObject({ code: 0 });
  await store.close();
});

test('a digest that was written over, signature and all, is no proof', async () => {
  const { fake, client, Bucket } = await startWithBucket({ versioning: true });
  const store = openS3Store({
    bucket: Bucket,
    prefix: 'archive',
    forcePathStyle: true,
    endpoint: fake.endpoint,
    credentials: { accessKeyId: fake.accessKeyId, secretAccessKey: fake.secretAccessKey },
    lockMode: 'none',
  });
  onTestFinished(() => store.close());
  const folder = temporaryFolder('everlog-versions-');
  onTestFinished(() => removeTemporaryFolder(folder));
  await storeJob(store, makeRecord({ job_id: 1 }), 'sealed log\n');
  const sealer = sealerOf(store, memoryQueue());
  expect((await seal(sealer, { final: false })).outcome).toBe('sealed');
  const key = digestKey(1);
  const standing = (await readWhole(store, key))?.bytes.toString() ?? '';
  const Body = standing.replace(/"queue_durability":"[^"]*"/, '"queue_durability":"another"');
  expect(Body).not.toBe(standing);
  const put = (name: string, body: string | Buffer): Promise<unknown> =>
    client.send(new PutObjectCommand({ Bucket, Key: `archive/${name}`, Body: body }));
  await put(key, Body);
  await put(digestSignatureKey(1, sha256(Buffer.from(Body))), Buffer.alloc(64));
  const { problems } = await exportTo(store, join(folder, 'bundle'), { madeAt: new Date() });
  expect(problems).toEqual([expect.stringMatching(/^ledger\/digests\/0000000001\/digest\.json: SHADOWED: /)]);
});
