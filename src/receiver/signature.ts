import { Webhooks } from '@octokit/webhooks';

/** Whether `signature` (`sha256=<hex>`) is that of `text` under one of the secrets. Never rejects for bad input. */
export type SignatureCheck = (text: string, signature: string) => Promise<boolean>;

/**
 * A check against every configured secret, of which there are several during rotation. Each comparison takes constant
 * time and all secrets are tried, so that the time taken does not tell which one a signature was made with.
 * @throws Error when there is no secret: nothing can be received then.
 */
export function createSignatureCheck(secrets: readonly string[]): SignatureCheck {
  if (secrets.length === 0) throw new Error('a receiver needs at least one webhook secret');
  const verifiers = secrets.map((secret) => new Webhooks({ secret }));
  return async function checkSignature(text, signature) {
    if (text === '' || signature === '') return false;
    let matches = false;
    for (const verifier of verifiers) {
      if (await verifier.verify(text, signature)) matches = true;
    }
    return matches;
  };
}
