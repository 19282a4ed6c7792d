import { createPublicKey, verify } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { openFolderStore } from '../../../src/store/folder/folder-object-store.ts';
import type { ObjectStore } from '../../../src/store/object-store.ts';
import type { Signer } from '../../../src/ledger/ports.ts';
import { openPemSigner } from '../../../src/ledger/keys/signer.ts';
import {
  listKeys,
  registerFirstKey,
  revokeKey,
  rotateKey,
  usableKey,
} from '../../../src/ledger/keys/signing-keys.ts';
import { newKeyPem, testFolder } from '../../support/harness/sealing-under-test.ts';

const signedShape = z.looseObject({ signatures: z.array(z.looseObject({ signature: z.string() })) });
const NOW = new Date('2026-11-20T10:00:00Z');

interface KeySite {
  readonly folder: string;
  readonly store: ObjectStore;
  readonly signers: readonly [Signer, Signer, Signer];
}

/** A ledger's first key, rotated twice. */
async function rotated(): Promise<KeySite> {
  const folder = testFolder();
  const store = await openFolderStore({ folder });
  const signers = [newKeyPem(), newKeyPem(), newKeyPem()].map((pem) => openPemSigner(pem));
  const [first, second, third] = signers;
  if (first === undefined || second === undefined || third === undefined) throw new Error('three keys');
  await registerFirstKey(store, first, NOW);
  await rotateKey(store, { current: first, next: second }, NOW);
  await rotateKey(store, { current: second, next: third }, NOW);
  return { folder, store, signers: [first, second, third] };
}

function keyPath(folder: string, keyId: string, kind = ''): string {
  return join(folder, `ledger/keys/${keyId}${kind}.json`);
}

describe('signing keys', () => {
  it('vouch for each other: the last signs the next, and each itself', async () => {
    const { folder, store, signers } = await rotated();
    const [first, second, third] = signers;
    const keys = await listKeys(store);
    expect(keys.map(({ keyId, previousKeyId, problem }) => [keyId, previousKeyId, problem])).toEqual([
      [first.keyId, null, null],
      [second.keyId, first.keyId, null],
      [third.keyId, second.keyId, null],
    ]);
    const file: unknown = JSON.parse(readFileSync(keyPath(folder, second.keyId), 'utf8'));
    expect(file).toEqual({
      schema: 'everlog.key/v1',
      key_id: second.keyId,
      algorithm: 'Ed25519',
      public_key: second.publicKeyPem,
      not_before: '2026-11-20T10:00:00.000Z',
      previous_key_id: first.keyId,
      signatures: [first, second].map(({ keyId }) => ({ key_id: keyId, signature: expect.any(String) })),
    });
    const statement = `everlog.key/v1\n${second.keyId}\n2026-11-20T10:00:00.000Z\n${first.keyId}\n`;
    const { signatures } = signedShape.parse(file);
    for (const [index, signer] of [first, second].entries()) {
      const signature = Buffer.from(signatures[index]?.signature ?? '', 'base64');
      expect(verify(null, Buffer.from(statement), createPublicKey(signer.publicKeyPem), signature)).toBe(
        true,
      );
    }
  });

  it('are registered once, and only where there is no other', async () => {
    const { store, signers } = await rotated();
    await registerFirstKey(store, signers[0], new Date());
    expect(await listKeys(store)).toHaveLength(3);
    const stranger = openPemSigner(newKeyPem());
    await expect(registerFirstKey(store, stranger, NOW)).rejects.toMatchObject({
      code: 'signing_key_unknown',
    });
    const brought = rotateKey(store, { current: stranger, next: openPemSigner(newKeyPem()) }, NOW);
    await expect(brought).rejects.toMatchObject({ code: 'signing_key_unknown' });
    const again = rotateKey(store, { current: signers[2], next: signers[0] }, NOW);
    await expect(again).rejects.toMatchObject({ code: 'usage' });
  });

  it('are revoked by themselves and by those that followed, not by those before', async () => {
    const { folder, store, signers } = await rotated();
    const [first, second, third] = signers;
    const at = new Date('2026-11-20T12:00:00Z');
    const reason = 'left in a public repository';
    const byEarlier = revokeKey(store, { keyId: third.keyId, signer: second, reason, at });
    await expect(byEarlier).rejects.toMatchObject({ code: 'usage' });
    await revokeKey(store, { keyId: first.keyId, signer: third, reason, at });
    await revokeKey(store, { keyId: second.keyId, signer: second, reason, at });
    const keys = await listKeys(store);
    expect(keys.map(({ revoked }) => revoked)).toEqual([
      { at: '2026-11-20T12:00:00.000Z', reason, byKeyId: third.keyId },
      { at: '2026-11-20T12:00:00.000Z', reason, byKeyId: second.keyId },
      null,
    ]);
    expect(() => usableKey(keys, first.keyId)).toThrow(/revoked as of 2026-11-20T12/);
    expect(usableKey(keys, third.keyId).problem).toBeNull();
    const twice = revokeKey(store, { keyId: first.keyId, signer: third, reason, at });
    await expect(twice).rejects.toMatchObject({ code: 'signing_key_revoked' });
    const file = readFileSync(keyPath(folder, first.keyId, '.revoked'), 'utf8');
    expect(JSON.parse(file)).toMatchObject({
      schema: 'everlog.key-revocation/v1',
      key_id: first.keyId,
      revoked_at: '2026-11-20T12:00:00.000Z',
      reason,
      signature: { key_id: third.keyId },
    });
  });

  it.each(['', '  ', 'two\nlines', 'x'.repeat(1_001)])(
    'are not revoked for no good reason: %.12j',
    async (reason) => {
      const { store, signers } = await rotated();
      const revoked = revokeKey(store, { keyId: signers[0].keyId, signer: signers[0], reason, at: NOW });
      await expect(revoked).rejects.toThrow(/--reason/);
    },
  );

  it('are not revoked where none would be left to seal', async () => {
    const store = await openFolderStore({ folder: testFolder() });
    const signer = openPemSigner(newKeyPem());
    await registerFirstKey(store, signer, NOW);
    const revoked = revokeKey(store, { keyId: signer.keyId, signer, reason: 'leaked', at: NOW });
    await expect(revoked).rejects.toThrow(/everlog keys rotate.*first/);
  });

  it('are not taken away by a revocation that nobody entitled signed', async () => {
    const { folder, store, signers } = await rotated();
    const [first] = signers;
    const stranger = openPemSigner(newKeyPem());
    const statement = Buffer.from(
      `everlog.key-revocation/v1\n${first.keyId}\n2026-11-20T12:00:00Z\nbecause\n`,
    );
    writeFileSync(
      keyPath(folder, first.keyId, '.revoked'),
      JSON.stringify({
        schema: 'everlog.key-revocation/v1',
        key_id: first.keyId,
        revoked_at: '2026-11-20T12:00:00Z',
        reason: 'because',
        signature: {
          key_id: stranger.keyId,
          signature: Buffer.from(await stranger.sign(statement)).toString('base64'),
        },
      }),
    );
    const [key] = await listKeys(store);
    expect(key).toMatchObject({ revoked: null, problem: expect.stringMatching(/revocation is not signed/) });
    expect(usableKey(await listKeys(store), first.keyId).keyId).toBe(first.keyId);
  });

  it('are not believed when their file was made by somebody else', async () => {
    const { folder, store, signers } = await rotated();
    const stranger = openPemSigner(newKeyPem());
    const file = signedShape.parse(JSON.parse(readFileSync(keyPath(folder, signers[2].keyId), 'utf8')));
    const forged = { ...file, key_id: stranger.keyId, public_key: stranger.publicKeyPem };
    writeFileSync(keyPath(folder, stranger.keyId), JSON.stringify(forged));
    const keys = await listKeys(store);
    expect(keys.find(({ keyId }) => keyId === stranger.keyId)?.problem).toMatch(/not signed by itself/);
    expect(() => usableKey(keys, stranger.keyId)).toThrow(/everlog keys rotate/);
  });
});

describe('openPemSigner', () => {
  it.each([
    ['nothing', ''],
    ['no PEM', 'secret-material'],
    ['a public key', openPemSigner(newKeyPem()).publicKeyPem],
  ])('refuses %s without repeating it', (_, pem) => {
    expect(() => openPemSigner(pem)).toThrow(/openssl genpkey -algorithm ed25519/);
    expect(() => openPemSigner(pem)).not.toThrow(/secret-material/);
  });
});
