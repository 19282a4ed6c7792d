import { createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { createSignatureCheck } from '../../../src/receiver/signature.ts';

/** The test vector GitHub publishes in "Validating webhook deliveries". */
const PUBLISHED = {
  secret: "It's a Secret to Everybody",
  body: 'Hello, World!',
  signature: 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17',
};

test('the published test vector verifies', async () => {
  const check = createSignatureCheck([PUBLISHED.secret]);
  expect(await check(PUBLISHED.body, PUBLISHED.signature)).toBe(true);
  expect(await check(`${PUBLISHED.body} `, PUBLISHED.signature)).toBe(false);
});

test('each of several secrets verifies, wherever it stands', async () => {
  const secrets = ['old', 'new', 'newest'];
  const check = createSignatureCheck(secrets);
  for (const secret of secrets) {
    const signature = `sha256=${createHmac('sha256', secret).update('body').digest('hex')}`;
    expect(await check('body', signature)).toBe(true);
  }
  const other = `sha256=${createHmac('sha256', 'other').update('body').digest('hex')}`;
  expect(await check('body', other)).toBe(false);
});

describe('what is not a signature is refused without an error', () => {
  const hex = PUBLISHED.signature.slice('sha256='.length);
  test.each([
    '',
    'sha256=',
    'sha1=',
    hex,
    `sha1=${hex}`,
    `sha256=${hex.slice(1)}`,
    `sha256=${hex}0`,
    `SHA256=${hex}`,
    `sha256=${'z'.repeat(64)}`,
    `${PUBLISHED.signature}, ${PUBLISHED.signature}`,
    '\u00ff'.repeat(71),
  ])('%j', async (signature) => {
    expect(await createSignatureCheck([PUBLISHED.secret])(PUBLISHED.body, signature)).toBe(false);
  });

  test('nor has an empty body one', async () => {
    const empty = `sha256=${createHmac('sha256', PUBLISHED.secret).update('').digest('hex')}`;
    expect(await createSignatureCheck([PUBLISHED.secret])('', empty)).toBe(false);
  });
});

test('without a secret nothing can be received', () => {
  expect(() => createSignatureCheck([])).toThrow('at least one webhook secret');
  expect(() => createSignatureCheck([''])).toThrow('secret');
});
