import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { createServer } from 'node:http';
import { onTestFinished } from 'vitest';
import { z } from 'zod';

/** A key management service on the wire: one Ed25519 key, JSON 1.1, and failures on demand. */
export interface KmsFake {
  readonly endpoint: string;
  readonly publicKey: KeyObject;
  /** What was asked, newest last. */
  readonly calls: readonly { readonly action: string; readonly body: Readonly<Record<string, unknown>> }[];
  /** Answers the next calls, one each, before anything is done. */
  readonly failures: { status: number; type: string }[];
  /** What a signature is made of; the service's own by default. */
  answer: (signature: Buffer) => Buffer;
  signingAlgorithms: string[];
}

const bodyShape = z.record(z.string(), z.unknown());

/** Starts it; it ends with the test. */
export async function startKmsFake(): Promise<KmsFake> {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const calls: { action: string; body: Record<string, unknown> }[] = [];
  const fake = {
    endpoint: '',
    publicKey,
    calls,
    failures: [] as { status: number; type: string }[],
    answer: (signature: Buffer) => signature,
    signingAlgorithms: ['ED25519_SHA_512', 'ED25519_PH_SHA_512'],
  };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const action = String(request.headers['x-amz-target']).replace('TrentService.', '');
      const body = bodyShape.parse(JSON.parse(Buffer.concat(chunks).toString()));
      calls.push({ action, body });
      const failure = fake.failures.shift();
      if (failure !== undefined) {
        response.writeHead(failure.status, { 'content-type': 'application/x-amz-json-1.1' });
        response.end(JSON.stringify({ __type: failure.type, message: 'as the test asked' }));
        return;
      }
      response.writeHead(200, { 'content-type': 'application/x-amz-json-1.1' });
      response.end(JSON.stringify(action === 'Sign' ? signed(body) : described(body)));
    });
  });
  function described(body: Record<string, unknown>): object {
    return {
      KeyId: body['KeyId'],
      PublicKey: publicKey.export({ type: 'spki', format: 'der' }).toString('base64'),
      KeySpec: 'ECC_NIST_EDWARDS25519',
      KeyUsage: 'SIGN_VERIFY',
      SigningAlgorithms: fake.signingAlgorithms,
    };
  }
  function signed(body: Record<string, unknown>): object {
    const message = Buffer.from(String(body['Message']), 'base64');
    const signature = fake.answer(sign(null, message, privateKey)).toString('base64');
    return { KeyId: body['KeyId'], Signature: signature, SigningAlgorithm: body['SigningAlgorithm'] };
  }
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the key service has no port');
  fake.endpoint = `http://127.0.0.1:${address.port}`;
  return fake;
}
