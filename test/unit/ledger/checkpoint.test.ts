import { createPublicKey, verify } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  checkpointText,
  noteKeyHash,
  parseCheckpoint,
  signCheckpoint,
} from '../../../src/ledger/formats/checkpoint.ts';
import { openPemSigner } from '../../../src/ledger/keys/signer.ts';
import { newKeyPem } from '../../support/harness/sealing-under-test.ts';

/** The start of every Ed25519 SPKI. */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
/** The verifier key of C2SP signed-note's example: name, key hash, and 0x01 before the raw key. */
const EXAMPLE = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
const EXAMPLE_NOTE = `If you think cryptography is the answer to your problem,
then you don't know what your problem is.

— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
`;

function exampleKeyPem(): string {
  const raw = Buffer.from(EXAMPLE.split('+')[2] ?? '', 'base64').subarray(1);
  const key = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, raw]), format: 'der', type: 'spki' });
  return key.export({ type: 'spki', format: 'pem' }).toString();
}

describe('notes', () => {
  it('name a key as the published example does', () => {
    expect(noteKeyHash('PeterNeumann', exampleKeyPem()).toString('hex')).toBe('c74f20a3');
  });

  it('sign the text as the published example does', () => {
    const [text = '', signatureLine = ''] = EXAMPLE_NOTE.split('\n\n');
    const signed = Buffer.from(signatureLine.trim().split(' ')[2] ?? '', 'base64');
    expect(signed.subarray(0, 4).toString('hex')).toBe('c74f20a3');
    expect(verify(null, Buffer.from(`${text}\n`), exampleKeyPem(), signed.subarray(4))).toBe(true);
  });

  it('are read back as they were written', async () => {
    const signer = openPemSigner(newKeyPem());
    const checkpoint = {
      stream: 'everlog/00112233445566778899aabbccddeeff',
      size: 7,
      root: Buffer.alloc(32, 9),
    };
    const bytes = await signCheckpoint(checkpoint, signer);
    expect(bytes.toString()).toMatch(
      /^everlog\/0011[0-9a-f]+\n7\nCQkJ[A-Za-z0-9+/]+=\n\n— everlog\/0011[0-9a-f]+ [A-Za-z0-9+/]+=*\n$/,
    );
    const note = parseCheckpoint(bytes);
    expect(note?.checkpoint).toEqual(checkpoint);
    expect(note?.text).toBe(checkpointText(checkpoint));
    expect(note?.keyHash).toEqual(noteKeyHash(checkpoint.stream, signer.publicKeyPem));
    expect(verify(null, Buffer.from(note?.text ?? ''), signer.publicKeyPem, note?.signature ?? bytes)).toBe(
      true,
    );
  });

  it.each(['', 'a\n1\n', 'a\n1\nAAAA\n\n— a AAAA\n', 'a\n01\n'.padEnd(60, 'A')])('is not %j', (text) => {
    expect(parseCheckpoint(Buffer.from(text))).toBeNull();
  });
});
