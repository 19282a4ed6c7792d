import { request as httpRequest, type Agent as HttpAgent, type IncomingMessage } from 'node:http';
import { request as httpsRequest, type Agent as HttpsAgent } from 'node:https';
import { messageOf, retryable } from '../../errors.ts';
import type { TimeStampPost } from './time-stamp.ts';
import { gatherBytes } from '../../gather-bytes.ts';

export interface TimeStampHttpOptions {
  /** Of the authority (EVERLOG_TSA_URL), http or https. */
  readonly url: URL;
  /** Agents to connect with, such as a proxy's. */
  readonly agents?: { readonly http?: HttpAgent; readonly https?: HttpsAgent };
}

/** An authority answers within a second or two; longer than this is a hang. */
const ANSWER_TIMEOUT_MS = 15_000;
/** A time stamp with its certificates takes some KB. */
const ANSWER_BYTES_MAX = 256 * 1024;

/**
 * Posts time stamp requests to one address.
 * @throws EverlogError `time_stamp_unavailable` (retry) from what it answers with
 */
export function timeStampOverHttp({ url, agents }: TimeStampHttpOptions): TimeStampPost {
  return async (body) => {
    try {
      const message = await postQuery(url, agents, body);
      return {
        status: message.statusCode ?? 0,
        body: await gatherBytes(message, ANSWER_BYTES_MAX, replyTooLong),
      };
    } catch (error) {
      // The address may hold a password, so only its host is named.
      const problem = `the time stamp authority at ${url.host} (EVERLOG_TSA_URL): ${messageOf(error)}`;
      throw retryable('time_stamp_unavailable', problem, error);
    }
  };
}

function postQuery(
  url: URL,
  agents: TimeStampHttpOptions['agents'],
  body: Uint8Array,
): Promise<IncomingMessage> {
  const isHttps = url.protocol === 'https:';
  const agent = isHttps ? agents?.https : agents?.http;
  return new Promise((resolve, reject) => {
    const send = isHttps ? httpsRequest : httpRequest;
    const request = send(
      url,
      {
        method: 'POST',
        headers: {
          'content-type': 'application/timestamp-query',
          accept: 'application/timestamp-reply',
          'content-length': body.byteLength,
        },
        signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
        ...(agent === undefined ? {} : { agent }),
      },
      resolve,
    );
    request.once('error', reject);
    request.end(body);
  });
}

function replyTooLong(): Error {
  return new Error(`an answer of more than ${ANSWER_BYTES_MAX} bytes`);
}
