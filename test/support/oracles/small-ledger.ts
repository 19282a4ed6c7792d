import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { parseKey, recordKey } from '../../../src/archive/keys.ts';
import { readWhole, type ObjectStore } from '../../../src/store/object-store.ts';
import type { JobRecord } from '../../../src/archive/record.ts';
import { addressOf, put } from './archived-jobs.ts';

/** A ledger written by hand from the contract alone, without the product's writers: for tests of what reads ledgers. */

export interface LedgerKey {
  readonly id: string;
  readonly privatePem: string;
  readonly publicPem: string;
}

export interface SmallLedger {
  readonly store: ObjectStore;
  /** The key that signs now. */
  key(): LedgerKey;
  /** Brings in another key, signed by the one before it. */
  rotate(notBefore: string): Promise<void>;
  revoke(key: LedgerKey, at: string, by?: LedgerKey): Promise<void>;
  /** Appends a digest over these objects; answers its sequence. */
  seal(windowEnd: string, keys: readonly string[]): Promise<number>;
}

export function makeKey(): LedgerKey {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  return {
    id: sha256(spki),
    privatePem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  };
}

/** Begins a ledger with its first key. */
export async function beginLedger(
  store: ObjectStore,
  notBefore: string,
  stream = newStream(),
): Promise<SmallLedger> {
  let key = makeKey();
  await storeKey(store, key, notBefore, null);
  const digests: Buffer[] = [];
  let windowStart = notBefore;
  return {
    store,
    key: () => key,
    async rotate(from) {
      const next = makeKey();
      await storeKey(store, next, from, key);
      key = next;
    },
    async revoke(revoked, at, by = key) {
      const statement = `everlog.key-revocation/v1\n${revoked.id}\n${at}\nlost\n`;
      const signature = { key_id: by.id, signature: signed(by, statement).toString('base64') };
      const object = {
        schema: 'everlog.key-revocation/v1',
        key_id: revoked.id,
        revoked_at: at,
        reason: 'lost',
        signature,
      };
      await put(store, `ledger/keys/${revoked.id}.revoked.json`, json(object));
    },
    async seal(windowEnd, keys) {
      const sequence = digests.length + 1;
      const seq = String(sequence).padStart(10, '0');
      const sorted = [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      const lines = await Promise.all(sorted.map((it) => entryLine(store, it)));
      const plain = Buffer.from(lines.map((line) => `${line}\n`).join(''));
      const stored = gzipSync(plain);
      const previous = digests.at(-1);
      const digest = json({
        schema: 'everlog.digest/v1',
        stream,
        sequence,
        window_start: windowStart,
        window_end: windowEnd,
        created_at: windowEnd,
        interval_seconds: 3600,
        final: false,
        archive: 's3://bucket/archive',
        entries: {
          file: `${sha256(stored)}.entries.ndjson.gz`,
          sha256: sha256(plain),
          bytes: plain.length,
          stored_sha256: sha256(stored),
          stored_bytes: stored.length,
          count: lines.length,
          merkle_root: treeHash(lines.map((line) => Buffer.from(line))).toString('hex'),
        },
        completeness: {
          reconciled_through: null,
          expected: 0,
          archived: 0,
          absent: {},
          pending: 0,
          failed: 0,
          gaps: null,
        },
        storage: {
          lock_mode: 'none',
          retention_days: null,
          create_only: 'atomic',
          queue_durability: 'unknown',
        },
        previous: previous === undefined ? null : { sequence: sequence - 1, sha256: sha256(previous) },
        key_id: key.id,
        algorithm: 'Ed25519',
      });
      digests.push(digest);
      windowStart = windowEnd;
      const folder = `ledger/digests/${seq}/`;
      await put(store, `${folder}${sha256(stored)}.entries.ndjson.gz`, stored);
      await put(store, `${folder}${sha256(digest)}.sig`, signed(key, digest));
      await put(store, `${folder}digest.json`, digest);
      await put(store, `ledger/checkpoints/${seq}.note`, note(stream, digests, key));
      return sequence;
    },
  };
}

/** RFC 6962, section 2.1, as it is defined there. */
export function treeHash(leaves: readonly Buffer[]): Buffer {
  const [only] = leaves;
  if (only === undefined) return createHash('sha256').digest();
  if (leaves.length === 1) return createHash('sha256').update(Buffer.of(0)).update(only).digest();
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  const [left, right] = [treeHash(leaves.slice(0, split)), treeHash(leaves.slice(split))];
  return createHash('sha256').update(Buffer.of(1)).update(left).update(right).digest();
}

async function storeKey(
  store: ObjectStore,
  key: LedgerKey,
  notBefore: string,
  previous: LedgerKey | null,
): Promise<void> {
  const statement = `everlog.key/v1\n${key.id}\n${notBefore}\n${previous?.id ?? ''}\n`;
  const signers = [...(previous === null ? [] : [previous]), key];
  const object = {
    schema: 'everlog.key/v1',
    key_id: key.id,
    algorithm: 'Ed25519',
    public_key: key.publicPem,
    not_before: notBefore,
    previous_key_id: previous?.id ?? null,
    signatures: signers.map((by) => ({ key_id: by.id, signature: signed(by, statement).toString('base64') })),
  };
  await put(store, `ledger/keys/${key.id}.json`, json(object));
}

async function entryLine(store: ObjectStore, key: string): Promise<string> {
  const bytes = (await readWhole(store, key))?.bytes ?? Buffer.alloc(0);
  const type = parseKey(key)?.type;
  const value: { log?: { key: string; version_id: string | null } | null } = JSON.parse(
    bytes.toString('utf8'),
  );
  const entry = { type, key, version_id: null, bytes: bytes.length, sha256: sha256(bytes) };
  if (type !== 'record' || value.log === null || value.log === undefined) return JSON.stringify(entry);
  const log = (await readWhole(store, value.log.key))?.bytes ?? Buffer.alloc(0);
  return JSON.stringify({
    ...entry,
    log: { key: value.log.key, version_id: null, bytes: log.length, sha256: sha256(log) },
  });
}

function note(stream: string, digests: readonly Buffer[], key: LedgerKey): Buffer {
  const text = `${stream}\n${digests.length}\n${treeHash(digests).toString('base64')}\n`;
  const raw = createPublicKey(key.publicPem).export({ type: 'spki', format: 'der' }).subarray(-32);
  const name = createHash('sha256')
    .update(`${stream}\n`)
    .update(Buffer.of(1))
    .update(raw)
    .digest()
    .subarray(0, 4);
  return Buffer.from(`${text}\n— ${stream} ${Buffer.concat([name, signed(key, text)]).toString('base64')}\n`);
}

function signed(key: LedgerKey, text: string | Buffer): Buffer {
  return sign(null, Buffer.from(text), createPrivateKey(key.privatePem));
}

function json(value: unknown): Buffer {
  return Buffer.from(`${JSON.stringify(value)}\n`);
}

function newStream(): string {
  return `everlog/${makeKey().id.slice(0, 32)}`;
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The key under which a record stands. */
export function recordKeyOf(record: JobRecord): string {
  return recordKey(addressOf(record), record.revision);
}
