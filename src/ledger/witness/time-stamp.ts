import { messageOf, retryable, type EverlogError } from '../../errors.ts';
import { DER, derInteger, derValue, derValues, type DerValue } from './der.ts';
import type { TimeStamper } from '../ports.ts';

/** Time stamps by RFC 3161. The answer is stored as it came; `openssl ts -verify` checks the authority's signature. */

/** Sends a request of type `application/timestamp-query` and answers what came back. */
export type TimeStampPost = (request: Uint8Array) => Promise<{ status: number; body: Buffer }>;

export interface TimeStamperOptions {
  readonly post: TimeStampPost;
  /** Cryptographic: an answer to another request must not pass for ours. */
  readonly randomBytes: (count: number) => Uint8Array;
}

const NONCE_BYTES = 8;
/** 2.16.840.1.101.3.4.2.1 */
const SHA256_OID = Buffer.from('608648016503040201', 'hex');
/** 1.2.840.113549.1.7.2 */
const SIGNED_DATA_OID = Buffer.from('2a864886f70d010702', 'hex');
/** 1.2.840.113549.1.9.16.1.4 */
const TST_INFO_OID = Buffer.from('2a864886f70d0109100104', 'hex');
/** granted, and granted with modifications. */
const GRANTED: ReadonlySet<number> = new Set([0, 1]);

/** Asks one authority. */
export function openTimeStamper({ post, randomBytes }: TimeStamperOptions): TimeStamper {
  return {
    async stamp(sha256) {
      const nonce = randomBytes(NONCE_BYTES);
      const { status, body } = await post(timeStampRequest(sha256, nonce));
      if (status !== 200) throw authorityUnavailable(`it answered with status ${status}`);
      const problem = problemWithResponse(body, sha256, nonce);
      if (problem !== null) throw authorityUnavailable(problem);
      return body;
    },
  };
}

/** The DER of a TimeStampReq for a SHA-256, asking for the authority's certificate. */
function timeStampRequest(sha256: Uint8Array, nonce: Uint8Array): Buffer {
  return derValue(
    DER.sequence,
    derInteger(Uint8Array.of(1)),
    messageImprint(sha256),
    derInteger(nonce),
    derValue(DER.boolean, Uint8Array.of(0xff)),
  );
}

function messageImprint(sha256: Uint8Array): Buffer {
  const algorithm = derValue(DER.sequence, derValue(DER.objectId, SHA256_OID), Uint8Array.of(0x05, 0x00));
  return derValue(DER.sequence, algorithm, derValue(DER.octetString, sha256));
}

/** What is wrong with a TimeStampResp; null when it is granted, for this hash, and answers this request. */
function problemWithResponse(body: Buffer, sha256: Uint8Array, nonce: Uint8Array): string | null {
  try {
    const [status, token] = members(only(derValues(body), DER.sequence));
    const granted = integerOf(members(status)[0]);
    if (!GRANTED.has(granted)) return `it did not grant the time stamp (status ${granted})`;
    const info = members(timeStampInfo(token));
    const [, , imprint] = info;
    const [algorithm, hash] = members(imprint);
    const isOurs =
      members(algorithm)[0]?.content.equals(SHA256_OID) === true &&
      hash?.tag === DER.octetString &&
      hash.content.equals(sha256);
    if (!isOurs) return 'its time stamp is for other bytes';
    const wanted = only(derValues(derInteger(nonce)), DER.integer).content;
    // Version and serial number come before; accuracy and the rest are no integers.
    const answered = info.slice(3).filter(({ tag }) => tag === DER.integer)[1];
    return answered?.content.equals(wanted) === true ? null : 'its time stamp answers another request';
  } catch (error) {
    return `its answer is no time stamp (${messageOf(error)})`;
  }
}

/** ContentInfo → SignedData → EncapsulatedContentInfo → TSTInfo. */
function timeStampInfo(token: DerValue | undefined): DerValue {
  const [type, explicit] = members(token);
  if (type?.content.equals(SIGNED_DATA_OID) !== true) throw new Error('no signed data');
  const signedData = members(only(members(explicit), DER.sequence));
  const encapsulated = signedData[2];
  const [contentType, content] = members(encapsulated);
  if (contentType?.content.equals(TST_INFO_OID) !== true) throw new Error('no time stamp in it');
  const octets = only(members(content), DER.octetString);
  return only(derValues(octets.content), DER.sequence);
}

function members(value: DerValue | undefined): DerValue[] {
  const isConstructed = value !== undefined && (value.tag & 0x20) !== 0;
  if (!isConstructed) throw new Error('a part is missing');
  return derValues(value.content);
}

function only(values: readonly DerValue[], tag: number): DerValue {
  const [value] = values;
  if (value?.tag !== tag) throw new Error('a part is missing');
  return value;
}

function integerOf(value: DerValue | undefined): number {
  if (value?.tag !== DER.integer || value.content.byteLength > 4 || value.content.byteLength === 0)
    throw new Error('a number is missing');
  return value.content.readIntBE(0, value.content.byteLength);
}

function authorityUnavailable(problem: string): EverlogError {
  return retryable('time_stamp_unavailable', `the time stamp authority (EVERLOG_TSA_URL): ${problem}`);
}
