import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { ObjectStore } from '../../../src/store/object-store.ts';
import type { GapLine } from '../../../src/ledger/formats/formats.ts';
import type { CommitsToSeal, SealDeps, SealNotes } from '../../../src/ledger/seal/seal.ts';
import { openPemSigner } from '../../../src/ledger/keys/signer.ts';
import type { Log } from '../../../src/logger.ts';
import { makeAbsence, makeRecord, storeJob, storeRecord } from '../oracles/archived-jobs.ts';

/** What a queue keeps for the sealer, in memory; `lose` is a queue server that comes back empty. */
export interface MemoryQueue {
  readonly pending: CommitsToSeal;
  readonly notes: SealNotes;
  lose(): void;
  /** Another that has the same in it. */
  copy(): MemoryQueue;
}

interface QueueContents {
  readonly keys: ReadonlySet<string>;
  readonly texts: ReadonlyMap<string, string>;
  readonly tables: ReadonlyMap<string, ReadonlyMap<string, string>>;
  readonly mark: number | null;
}

export function memoryQueue(from: Partial<QueueContents> = {}): MemoryQueue {
  const keys = new Set(from.keys);
  const texts = new Map(from.texts);
  const claims = new Map<string, string>();
  const tables = new Map([...(from.tables ?? [])].map(([name, fields]) => [name, new Map(fields)]));
  let mark = from.mark ?? null;
  return {
    pending: {
      add: (added) => done(() => added.forEach((key) => keys.add(key))),
      page: (after, limit) => {
        const behind = [...keys].filter((key) => after === null || bytewise(key, after) > 0);
        return Promise.resolve(behind.sort(bytewise).slice(0, limit));
      },
      remove: (removed) => done(() => removed.forEach((key) => keys.delete(key))),
      count: () => Promise.resolve(keys.size),
      mark: () => Promise.resolve(mark),
      setMark: (sequence) =>
        done(() => {
          mark = sequence;
        }),
    },
    notes: {
      note: (name, text) => done(() => texts.set(name, text)),
      noted: (names) => Promise.resolve(names.map((name) => texts.get(name) ?? null)),
      setField: (table, field, text) =>
        done(() => {
          const fields = tables.get(table) ?? new Map<string, string>();
          if (text === null) fields.delete(field);
          else fields.set(field, text);
          tables.set(table, fields);
        }),
      fields: (table) => Promise.resolve(Object.fromEntries(tables.get(table) ?? [])),
      claim: (name, holder) => {
        const held = claims.get(name);
        if (held === undefined) claims.set(name, holder);
        return Promise.resolve(held === undefined || held === holder);
      },
      release: (name, holder) =>
        done(() => {
          if (claims.get(name) === holder) claims.delete(name);
        }),
    },
    copy: () => memoryQueue({ keys, texts, tables, mark }),
    lose() {
      keys.clear();
      texts.clear();
      claims.clear();
      tables.clear();
      mark = null;
    },
  };
}

function bytewise(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function done(work: () => unknown): Promise<void> {
  work();
  return Promise.resolve();
}

/** A new Ed25519 private key, PEM. */
export function newKeyPem(): string {
  return generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** A log that keeps what it is told. */
export function keptLog(): {
  log: Log;
  lines: { level: string; fields: Record<string, unknown>; message: string }[];
} {
  const lines: { level: string; fields: Record<string, unknown>; message: string }[] = [];
  const at = (level: string) => (fields: Record<string, unknown>, message: string) => {
    lines.push({ level, fields, message });
  };
  const log: Log = {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: () => log,
  };
  return { log, lines };
}

/** A sealer of an archive, with nothing missing anywhere and a key of its own; `changes` are laid over it. */
export function sealerOf(store: ObjectStore, queue: MemoryQueue, changes: Partial<SealDeps> = {}): SealDeps {
  const now = changes.now ?? ((): Date => new Date());
  return {
    store: atTime(store, now),
    signer: openPemSigner(newKeyPem()),
    pending: queue.pending,
    notes: queue.notes,
    accounting: accounted([]),
    anchor: null,
    timeStamp: null,
    storage: { lockMode: 'none', retentionDays: null, queueDurability: 'memory' },
    intervalMs: 3_600_000,
    spoolFolder: tmpdir(),
    now,
    randomBytes: (count) => randomBytes(count),
    log: keptLog().log,
    onFindings: () => Promise.resolve(),
    ...changes,
  };
}

/** A store whose clock goes like that of whoever uses it. */
export function atTime(store: ObjectStore, now: () => Date): ObjectStore {
  return { ...store, clock: () => Promise.resolve(now()) };
}

/** An accounting with those gaps and nothing else. */
export function accounted(gaps: Iterable<GapLine>): SealDeps['accounting'] {
  return { read: () => Promise.resolve({ reconciledThrough: null, pending: 0, failed: 0, gaps }) };
}

/** A folder that is removed when the test has finished. */
export function testFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'everlog-ledger-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Commits a job as the service does: log, record, hint. Every third has no log. Answers the record's key. */
export async function commitJob(
  store: ObjectStore,
  queue: MemoryQueue | null,
  jobId: number,
): Promise<string> {
  const recordedAt = new Date().toISOString();
  const changes = { job_id: jobId, run_id: Math.ceil(jobId / 10), recorded_at: recordedAt };
  const key = `v1/records/host=github.com/owner=octo-org/repo=octo-repo/${changes.run_id}/1/${jobId}.json`;
  if (jobId % 3 === 0) await storeRecord(store, makeAbsence('not_produced', changes));
  else await storeJob(store, makeRecord(changes), `log of job ${jobId}\n`.repeat(1 + (jobId % 50)));
  await queue?.pending.add([key]);
  return key;
}

export function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
