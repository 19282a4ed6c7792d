import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'undici';
import { z } from 'zod';
import { codeOf, retryable } from '../errors.ts';
import {
  addedSchema,
  backlogSchema,
  countsSchema,
  failedJobsSchema,
  queuedStateSchema,
  sealAnswerSchema,
  type ControlRequest,
  type QueueControl,
  type SealAnswer,
} from './requests.ts';
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
  const ask = (request: ControlRequest): Promise<unknown> => askService(client, request);
  try {
    await ask({ ask: 'failed', limit: 1 });
  } catch (error) {
    await client.destroy();
    if (isNobody(error)) return null;
    throw error;
  }
  return {
    add: async (job) => addedSchema.parse(await ask({ ask: 'add', job })),
    failed: async (limit) => failedJobsSchema.parse(await ask({ ask: 'failed', limit })),
    retryFailed: async (id) => z.boolean().parse(await ask({ ask: 'retry_failed', id })),
    dropFailed: async (id, reason) => z.boolean().parse(await ask({ ask: 'drop_failed', id, reason })),
    stateOf: async (id) => queuedStateSchema.parse(await ask({ ask: 'state_of', id })),
    counts: async () => countsSchema.parse(await ask({ ask: 'counts' })),
    backlog: async () => backlogSchema.parse(await ask({ ask: 'census' })),
    async tryWork() {
      await ask({ ask: 'try_work' });
    },
    notes: {
      async note(name, text, keptMs) {
        await ask({ ask: 'note', name, text, keptMs });
      },
      noted: async (names) =>
        z.array(z.string().nullable()).parse(await ask({ ask: 'noted', names: [...names] })),
      claim: async (name, holder, keptMs) =>
        z.boolean().parse(await ask({ ask: 'claim', name, holder, keptMs })),
      async setField(table, field, text) {
        await ask({ ask: 'set_field', table, field, text });
      },
      fields: async (table) => z.record(z.string(), z.string()).parse(await ask({ ask: 'fields', table })),
      async release(name, holder) {
        await ask({ ask: 'release', name, holder });
      },
    },
    pending: {
      async announce(keys) {
        await ask({ ask: 'announce', keys: [...keys] });
      },
      async add(keys) {
        await ask({ ask: 'commit', keys: [...keys] });
      },
    },
    async seal(final) {
      const answer = await askService(client, { ask: 'seal', final }, SEAL_TIMEOUT_MS);
      return sealAnswerSchema.parse(answer);
    },
    close: () => client.destroy(),
  };
}

async function askService(
  client: Client,
  request: ControlRequest,
  timeoutMs = ANSWER_TIMEOUT_MS,
): Promise<unknown> {
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
