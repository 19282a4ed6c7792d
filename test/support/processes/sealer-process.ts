/**
 * A sealer for tests that kill it: `sealer-process.ts QUEUE_URL FOLDER END_AT`, the key in SIGNING_KEY_PEM. It kills itself
 * right after its effect number END_AT (0: never), and otherwise appends one digest.
 */
import { Redis } from 'ioredis';
import { openFolderStore } from '../../../src/store/folder/folder-object-store.ts';
import { seal } from '../../../src/ledger/seal/seal.ts';
import { openPemSigner } from '../../../src/ledger/keys/signer.ts';
import { openRedisNotes } from '../../../src/queue/key-value-notes.ts';
import { openRedisPending } from '../../../src/queue/pending-commits.ts';
import { memoryQueue, sealerOf } from '../harness/sealing-under-test.ts';

/** The claim of a sealer that was killed, shortened: the next one waits for it to end. */
const CLAIM_MS = 1_000;
const CLAIM_WAIT_MS = 30_000;
const LOOKED_EACH_MS = 100;

const [url = '', folder = '', endAt = '0'] = process.argv.slice(2);
const redis = new Redis(url);
const store = await openFolderStore({ folder });
const pending = openRedisPending(redis, 'everlog');
const notes = openRedisNotes(redis, 'everlog');
let effects = 0;

async function effect<T>(work: () => Promise<T>): Promise<T> {
  const answer = await work();
  effects += 1;
  if (effects === Number(endAt)) process.kill(process.pid, 'SIGKILL');
  return answer;
}

const deps = sealerOf(
  { ...store, putIfAbsent: (key, body, options) => effect(() => store.putIfAbsent(key, body, options)) },
  memoryQueue(),
  {
    signer: openPemSigner(process.env['SIGNING_KEY_PEM'] ?? ''),
    notes: {
      ...notes,
      note: (name, text, ms) => effect(() => notes.note(name, text, ms)),
      claim: (name, holder) => notes.claim(name, holder, CLAIM_MS),
    },
    pending: {
      ...pending,
      remove: (keys) => effect(() => pending.remove(keys)),
      setMark: (sequence) => effect(() => pending.setMark(sequence)),
    },
  },
);
const startedMs = Date.now();
for (;;) {
  const { outcome } = await seal(deps, { final: false });
  if (outcome !== 'busy' || Date.now() - startedMs > CLAIM_WAIT_MS) break;
  await new Promise((resolve) => setTimeout(resolve, LOOKED_EACH_MS));
}
redis.disconnect();
