import { createHash } from 'node:crypto';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openFolderStore } from '../../src/store/folder/folder-object-store.ts';
import { openKmsSigner, type KmsSigner } from '../../src/ledger/keys/kms-signer.ts';
import { seal } from '../../src/ledger/seal/seal.ts';
import { startKmsFake, type KmsFake } from '../support/servers/kms-fake.ts';
import { demandAllSealed, folderFiles } from '../support/oracles/ledger-oracle.ts';
import { commitJob, memoryQueue, sealerOf, testFolder } from '../support/harness/sealing-under-test.ts';

const KEY_ARN = 'arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555';

async function open(fake: Pick<KmsFake, 'endpoint'>, keyArn = KEY_ARN): Promise<KmsSigner> {
  const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'not-a-secret' };
  const signer = await openKmsSigner({ keyArn, endpoint: fake.endpoint, credentials });
  onTestFinished(() => signer.close());
  return signer;
}

describe('a key of AWS KMS', () => {
  it('seals a ledger: raw Ed25519 over the bytes themselves', async () => {
    const fake = await startKmsFake();
    const signer = await open(fake);
    const spki = fake.publicKey.export({ type: 'spki', format: 'der' });
    expect(signer.keyId).toBe(createHash('sha256').update(spki).digest('hex'));
    const folder = testFolder();
    const store = await openFolderStore({ folder });
    const queue = memoryQueue();
    await commitJob(store, queue, 1);
    expect(await seal(sealerOf(store, queue, { signer }), { final: false })).toMatchObject({ entries: 2 });
    await demandAllSealed(folderFiles(folder));
    const signs = fake.calls.filter(({ action }) => action === 'Sign');
    expect(signs).toHaveLength(3);
    for (const { body } of signs) {
      expect(body).toMatchObject({
        KeyId: KEY_ARN,
        MessageType: 'RAW',
        SigningAlgorithm: 'ED25519_SHA_512',
      });
      expect(Buffer.from(String(body['Message']), 'base64').length).toBeLessThanOrEqual(4_096);
    }
  });

  it('is tried again while the service throttles or fails', async () => {
    const fake = await startKmsFake();
    const signer = await open(fake);
    fake.failures.push({ status: 400, type: 'ThrottlingException' });
    expect(await signer.sign(Buffer.from('x'))).toHaveLength(64);
    const fails = (): void => {
      for (let call = 0; call < 3; call += 1)
        fake.failures.push({ status: 500, type: 'KMSInternalException' });
    };
    fails();
    const failed = signer.sign(Buffer.from('x'));
    await expect(failed).rejects.toMatchObject({ code: 'signing_unavailable', remedy: { kind: 'retry' } });
  });

  it.each([
    ['AccessDeniedException', /kms:Sign/],
    ['DisabledException', /enabled/],
    ['NotFoundException', /key\/1111/],
    ['KMSInvalidStateException', /enabled/],
  ])('is given up when the service says %s', async (type, message) => {
    const fake = await startKmsFake();
    fake.failures.push({ status: 400, type });
    const opened = open(fake);
    await expect(opened).rejects.toMatchObject({ code: 'signing_refused', remedy: { kind: 'give_up' } });
    await expect(opened).rejects.toThrow(message);
  });

  it('is not believed when what it signed does not hold', async () => {
    const fake = await startKmsFake();
    const signer = await open(fake);
    fake.answer = (signature) => Buffer.alloc(signature.length);
    await expect(signer.sign(Buffer.from('x'))).rejects.toMatchObject({ code: 'signing_unavailable' });
  });

  it('is refused when it cannot sign as a ledger needs it, or its ARN is none', async () => {
    const fake = await startKmsFake();
    fake.signingAlgorithms = ['ECDSA_SHA_256'];
    const invalid = { code: 'signing_key_invalid', remedy: { kind: 'give_up' } };
    await expect(open(fake)).rejects.toMatchObject(invalid);
    await expect(open(fake, 'alias/everlog')).rejects.toMatchObject(invalid);
    await expect(open(fake, 'alias/everlog')).rejects.toThrow(/arn:aws:kms:REGION/);
  });

  it('is passing trouble when nobody answers', async () => {
    const gone = open({ endpoint: 'http://127.0.0.1:1' });
    await expect(gone).rejects.toMatchObject({ code: 'signing_unavailable' });
  });
});
