import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'undici';
import { z } from 'zod';
import { codeOf, retryable } from '../errors.ts';
import { REQUESTS, type ControlRequest, type QueueControl, type SealAnswer } from './requests.ts';
import { SOCKET_NOTE } from './socket-server.ts';

/** A running service, reached through its local socket. */
export interface RemoteControl extends QueueControl {
  /** Has the service append a digest to the ledger. */
  seal(final: boolean): Promise<SealAnswer>;
  close(): Promise<void>;
}

/** The service answers from its own queue: a second is long, and a list of many failed jobs takes a few. */
const ANSWER_TIMEOUT_MS = 30_000;

/** A first seal of an old archive reads all of its records. */
const SEAL_TIMEOUT_MS = 24 * 60 * 60_000;

const answerSchema = z.union([z.object({ answer: z.unknown() }), z.object({ error: z.string() })]);

/** Reaches the service that owns the queue in `queueFolder`; null when none listens (a note left by a killed one is stale). */
export async function reachService(queueFolder: string): Promise<RemoteControl | null> {
  let path: string;
  try {
    path = await readFile(join(queueFolder, SOCKET_NOTE), 'utf8');
  } catch {
    return null;
  }
  const client = new Client('http://everlog', {
    socketPath: path,
    headersTimeout: ANSWER_TIMEOUT_MS,
    bodyTimeout: ANSWER_TIMEOUT_MS,
  });
  const ask = <Args, Answer>(
    request: ControlRequest<Args, Answer>,
    args: Args,
    timeoutMs = ANSWER_TIMEOUT_MS,
  ): Promise<Answer> => askService(client, request.bodyOf(args), timeoutMs).then(request.answerOf);
  try {
    await ask(REQUESTS.failed, { limit: 1 });
  } catch (error) {
    await client.destroy();
    if (isNobody(error)) return null;
    throw error;
  }
  return {
    add: (job) => ask(REQUESTS.add, { job }),
    failed: (limit) => ask(REQUESTS.failed, { limit }),
    retryFailed: (id) => ask(REQUESTS.retryFailed, { id }),
    dropFailed: (id, reason) => ask(REQUESTS.dropFailed, { id, reason }),
    stateOf: (id) => ask(REQUESTS.stateOf, { id }),
    counts: () => ask(REQUESTS.counts, {}),
    backlog: () => ask(REQUESTS.backlog, {}),
    tryWork: () => ask(REQUESTS.tryWork, {}),
    notes: {
      note: (name, text, keptMs) => ask(REQUESTS.note, { name, text, keptMs }),
      noted: (names) => ask(REQUESTS.noted, { names }),
      claim: (name, holder, keptMs) => ask(REQUESTS.claim, { name, holder, keptMs }),
      setField: (table, field, text) => ask(REQUESTS.setField, { table, field, text }),
      fields: (table) => ask(REQUESTS.fields, { table }),
      release: (name, holder) => ask(REQUESTS.release, { name, holder }),
    },
    pending: {
      announce: (keys) => ask(REQUESTS.announce, { keys }),
      add: (keys) => ask(REQUESTS.addPending, { keys }),
    },
    seal: (final) => ask(REQUESTS.seal, { final }, SEAL_TIMEOUT_MS),
    close: () => client.destroy(),
  };
}

async function askService(client: Client, request: object, timeoutMs: number): Promise<unknown> {
  const answer = await client.request({
    method: 'POST',
    path: '/',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(request),
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
  });
  const parsed = answerSchema.parse(await answer.body.json());
  if ('error' in parsed) throw retryable('queue_unavailable', `the running service says: ${parsed.error}`);
  return parsed.answer;
}

function isNobody(error: unknown): boolean {
  const code = codeOf(error);
  return code === 'ECONNREFUSED' || code === 'ENOENT';
}
