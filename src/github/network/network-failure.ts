import { messageOf } from '../../errors.ts';

/** Certificates that Node cannot trace to an authority it knows. */
const UNTRUSTED: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);
/** A cause chain is a few links; the bound only guards against a cycle. */
const CAUSES_MAX = 8;

/**
 * Why a connection failed, in words fit for the operator: what the network said, without any link in it, and the cure
 * where it is one of configuration.
 */
export function networkFailure(error: unknown): string {
  const chain = causesOf(error);
  const code = chain.map(codeIn).find((found) => found !== null) ?? null;
  const said = messageOf(chain.at(-1)).replaceAll(/https?:\/\/\S+/g, 'a link');
  const text = code === null || said.includes(code) ? said || (code ?? '') : `${code} ${said}`;
  const cure = cureOf(code, said);
  return cure === null ? text : `${text}: ${cure}`;
}

function cureOf(code: string | null, said: string): string | null {
  if (code !== null && UNTRUSTED.has(code)) {
    return 'if its certificate is from a private authority, name that CA’s PEM file in NODE_EXTRA_CA_CERTS';
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return 'its certificate is for another name';
  if (/\bproxy\b.*\b407\b/i.test(said))
    return 'put the proxy’s user and password in HTTPS_PROXY or HTTP_PROXY';
  if (said.startsWith('Proxy response ('))
    return 'ask for this host to be allowed there, or name it in NO_PROXY';
  return null;
}

function causesOf(error: unknown): unknown[] {
  const chain: unknown[] = [error];
  for (let next = causeOf(error); next !== undefined && chain.length < CAUSES_MAX; next = causeOf(next)) {
    chain.push(next);
  }
  return chain;
}

function causeOf(error: unknown): unknown {
  return error instanceof Error ? error.cause : undefined;
}

function codeIn(error: unknown): string | null {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return null;
  // What undici says of itself is no news of the network.
  return error.code.startsWith('UND_ERR_') && error.cause !== undefined ? null : error.code;
}
