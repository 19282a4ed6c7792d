import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { loadConfig, type SealingSettings } from '../../../src/config.ts';
import { messageOf } from '../../../src/errors.ts';

const ED25519 = generateKeyPairSync('ed25519');
const PEM = ED25519.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const ENCRYPTED = ED25519.privateKey
  .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' })
  .toString();
const PUBLIC = ED25519.publicKey.export({ type: 'spki', format: 'pem' }).toString();
const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 })
  .privateKey.export({ type: 'pkcs8', format: 'pem' })
  .toString();
const ARN = 'arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab';
const REDIS = { EVERLOG_QUEUE_URL: 'redis://127.0.0.1:6379' };

const folder = mkdtempSync(join(tmpdir(), 'everlog-signing-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function sealing(env: Record<string, string>, signingKey = false): SealingSettings {
  return loadConfig({ signingKey }, env).sealing;
}

function problemOf(env: Record<string, string>): string {
  try {
    loadConfig({ signingKey: true }, env);
  } catch (error) {
    return messageOf(error);
  }
  throw new Error('it was taken');
}

describe('the signing key', () => {
  test('is a PEM, also in one line, or in a file', () => {
    const path = join(folder, 'key.pem');
    writeFileSync(path, PEM);
    const inline = sealing({ ...REDIS, EVERLOG_SIGNING_KEY: PEM.trim().replaceAll('\n', '\\n') });
    expect(inline.signingKey).toEqual({ kind: 'pem', pem: PEM.trim() });
    expect(sealing({ ...REDIS, EVERLOG_SIGNING_KEY: PEM }).signingKey).toMatchObject({ kind: 'pem' });
    expect(sealing({ ...REDIS, EVERLOG_SIGNING_KEY_FILE: path }, true).signingKey).toEqual(inline.signingKey);
  });

  test('is a key of KMS by its ARN or that of an alias', () => {
    expect(sealing({ ...REDIS, EVERLOG_SIGNING_KEY: `awskms:${ARN}` }).signingKey).toEqual({
      kind: 'kms',
      arn: ARN,
    });
    const alias = 'arn:aws-us-gov:kms:us-gov-west-1:123456789012:alias/everlog';
    expect(sealing({ ...REDIS, EVERLOG_SIGNING_KEY: `awskms:${alias}` }).signingKey).toMatchObject({
      arn: alias,
    });
  });

  test('has a default with an embedded queue alone: a file beside its folder, which belongs to it', () => {
    expect(sealing({}).signingKey).toEqual({ kind: 'file', path: resolve('data/queue.signing-key.pem') });
    expect(sealing({ EVERLOG_QUEUE_URL: 'embedded:/var/q/' }, true).signingKey).toEqual({
      kind: 'file',
      path: '/var/q.signing-key.pem',
    });
    expect(sealing(REDIS).signingKey).toBeNull();
    expect(problemOf(REDIS)).toMatch(
      /has a problem:\n {2}- EVERLOG_SIGNING_KEY is missing: .*openssl genpkey/,
    );
  });

  test.each([
    ['of another type', RSA, /type rsa, not Ed25519/],
    ['that is encrypted', ENCRYPTED, /is encrypted/],
    ['that is the public half', PUBLIC, /is no PEM of a private key/],
    ['that is no PEM', 'hunter2hunter2hunter2', /is no PEM of a private key/],
    ['of KMS without an ARN', 'awskms:alias/hunter2', /names no key: awskms:arn:/],
    ['cut off', PEM.slice(0, 60), /is no PEM of a private key/],
  ])('%s is refused once, with the cure and without a word of it', (_, text, wanted) => {
    const problem = problemOf({ ...REDIS, EVERLOG_SIGNING_KEY: text });
    expect(problem).toMatch(wanted);
    expect(problem.split('\n')).toHaveLength(2);
    expect(problem).not.toMatch(/hunter2|PRIVATE KEY-|PUBLIC KEY-/);
    const secret = text.split('\n')[1]?.slice(0, 20) ?? 'hunter2';
    expect(problem).not.toContain(secret);
  });
});

test('the second place, the time stamps and the interval', () => {
  expect(sealing({})).toMatchObject({ anchor: null, timeStampUrl: null, intervalMs: 3_600_000 });
  expect(
    sealing({
      EVERLOG_ANCHOR_URL: 's3://elsewhere/everlog/',
      EVERLOG_TSA_URL: 'https://tsa.example/tsr',
      EVERLOG_SEAL_INTERVAL: '15m',
    }),
  ).toMatchObject({
    anchor: { kind: 's3', bucket: 'elsewhere', prefix: 'everlog' },
    timeStampUrl: 'https://tsa.example/tsr',
    intervalMs: 900_000,
  });
  const problem = problemOf({
    EVERLOG_ANCHOR_URL: 's3://',
    EVERLOG_TSA_URL: 'tsa.example',
    EVERLOG_SEAL_INTERVAL: '1500ms',
  });
  for (const name of ['EVERLOG_ANCHOR_URL', 'EVERLOG_TSA_URL', 'EVERLOG_SEAL_INTERVAL'])
    expect(problem).toContain(`- ${name} is not`);
});
