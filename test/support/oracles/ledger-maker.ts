import { createHash, generateKeyPairSync, randomBytes, sign, type KeyObject as CryptoKey } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';

/**
 * Makes correct ledgers, from the contract's words and the RFCs alone: it shares no code with the product, so that a
 * mistake in what seals or verifies cannot be made here as well. Small and slow on purpose.
 */

/** Stores an object and answers its version; null where there are none. */
export type Put = (key: string, bytes: Buffer) => Promise<string | null> | string | null;

/** Puts objects into a folder as files. */
export function folderPut(folder: string): (key: string, bytes: Buffer) => null {
  return (key, bytes) => {
    const path = join(folder, key);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
    return null;
  };
}

export interface MadeKey {
  readonly id: string;
  readonly privateKey: CryptoKey;
  readonly publicKeyPem: string;
}

export interface MadeJob {
  readonly recordKey: string;
  readonly logKey: string;
  readonly record: Readonly<Record<string, unknown>>;
  readonly jobId: number;
  readonly runId: number;
}

export interface MadeDigest {
  readonly sequence: number;
  readonly sha256: string;
  readonly key: string;
  readonly signatureKey: string;
  readonly entriesKey: string;
  readonly noteKey: string;
  readonly bytes: Buffer;
}

interface Entry {
  readonly type: string;
  readonly key: string;
  readonly version_id: string | null;
  readonly bytes: number;
  readonly sha256: string;
  readonly log?: { key: string; version_id: string | null; bytes: number; sha256: string };
}

export interface MakerOptions {
  readonly archive: string;
  /** Start of the first window. */
  readonly startMs: number;
  readonly intervalMs?: number;
  readonly storage?: Readonly<Record<string, unknown>>;
  /** Of the jobs; github.com when none is given. */
  readonly host?: string;
  /** A key to begin with instead of a new one. */
  readonly key?: MadeKey;
  /** Whether keys and revocations get entries; ledgers of the first versions have none. */
  readonly sealsKeys?: boolean;
}

export interface SealOptions {
  readonly final?: boolean;
  /** Signs instead of the newest key. */
  readonly key?: MadeKey;
  readonly gaps?: readonly Readonly<Record<string, unknown>>[];
  /** Laid over the digest before it is signed. */
  readonly changes?: Readonly<Record<string, unknown>>;
  /** Merkle root that the digest is to name instead of that of its entries. */
  readonly root?: string;
  /** Laid over the entries before they are sealed. */
  readonly entries?: (entries: readonly Entry[]) => readonly Entry[];
}

const HOST = 'github.com';
const HOUR_MS = 3_600_000;

export class LedgerMaker {
  readonly #put: Put;
  readonly #options: MakerOptions;
  readonly #intervalMs: number;
  readonly stream = `everlog/${randomBytes(16).toString('hex')}`;
  readonly keys: MadeKey[] = [];
  readonly digests: MadeDigest[] = [];
  readonly jobs: MadeJob[] = [];
  #pending: Entry[] = [];
  #nextId = 1_000;
  nowMs: number;

  constructor(put: Put, options: MakerOptions) {
    this.#put = put;
    this.#options = options;
    this.#intervalMs = options.intervalMs ?? HOUR_MS;
    this.nowMs = options.startMs;
  }

  get key(): MadeKey {
    const key = this.keys.at(-1);
    if (key === undefined) throw new Error('the ledger has no key yet');
    return key;
  }

  /** Registers the first key, or the next one, signed by the one before (`previous`, where it is another than the last). */
  async addKey(
    key: MadeKey = this.#options.key ?? makeKey(),
    previous: MadeKey | null = this.keys.at(-1) ?? null,
  ): Promise<MadeKey> {
    const notBefore = iso(this.nowMs);
    const statement = Buffer.from(`everlog.key/v1\n${key.id}\n${notBefore}\n${previous?.id ?? ''}\n`);
    const signers = previous === null ? [key] : [previous, key];
    await this.#putKeyFile('key', `ledger/keys/${key.id}.json`, {
      schema: 'everlog.key/v1',
      key_id: key.id,
      algorithm: 'Ed25519',
      public_key: key.publicKeyPem,
      not_before: notBefore,
      previous_key_id: previous?.id ?? null,
      signatures: signers.map((signer) => ({
        key_id: signer.id,
        signature: sign(null, statement, signer.privateKey).toString('base64'),
      })),
    });
    this.keys.push(key);
    return key;
  }

  /** Says that a key is not to be believed from `revokedAtMs` on. */
  async revoke(key: MadeKey, revokedAtMs: number, by: MadeKey = this.key): Promise<void> {
    const at = iso(revokedAtMs);
    const reason = 'stolen';
    const statement = Buffer.from(`everlog.key-revocation/v1\n${key.id}\n${at}\n${reason}\n`);
    await this.#putKeyFile('revocation', `ledger/keys/${key.id}.revoked.json`, {
      schema: 'everlog.key-revocation/v1',
      key_id: key.id,
      revoked_at: at,
      reason,
      signature: { key_id: by.id, signature: sign(null, statement, by.privateKey).toString('base64') },
    });
  }

  /** Archives a job: log, record, and its entry in the next digest. Changes are laid over the record, and over what it says of its log. */
  async addJob(
    log: Buffer = someLog(),
    changes: Readonly<Record<string, unknown>> = {},
    logChanges: Readonly<Record<string, unknown>> = {},
  ): Promise<MadeJob> {
    this.#nextId += 1;
    const jobId = Number(changes['job_id'] ?? this.#nextId);
    const runId = Number(changes['run_id'] ?? jobId * 10);
    const { host = HOST } = this.#options;
    const place = `host=${host}/owner=octo-org/repo=octo-repo`;
    const logKey = `v1/logs/${place}/dt=2026-11-20/${runId}-1-${jobId}.log.gz`;
    const recordKey = `v1/records/${place}/${runId}/1/${jobId}.json`;
    const stored = gzipSync(log);
    const logVersion = await this.#put(logKey, stored);
    const lines =
      log.toString('latin1').split('\n').length - (log.length === 0 || log.at(-1) === 0x0a ? 1 : 0);
    const record = {
      ...recordFields(jobId, runId),
      host,
      log: {
        key: logKey,
        version_id: logVersion,
        sha256: sha256(log),
        bytes: log.length,
        lines,
        stored_sha256: sha256(stored),
        stored_bytes: stored.length,
        encoding: 'gzip',
        ...logChanges,
      },
      ...changes,
    };
    const sealedLog = { key: logKey, version_id: logVersion, bytes: stored.length, sha256: sha256(stored) };
    await this.#commit('record', recordKey, record, sealedLog);
    const job = { recordKey, logKey, record, jobId, runId };
    this.jobs.push(job);
    return job;
  }

  /** Confirms a job by a listing, as version 0.1 did: under the number of the revision before, and sealed without its log. */
  async addMisnumbered(job: MadeJob, changes: Readonly<Record<string, unknown>> = {}): Promise<string> {
    const key = job.recordKey.replace('.json', '.r2.json');
    await this.#commit('record', key, { ...job.record, details_source: 'list', ...changes });
    return key;
  }

  /** Records a job that has no log. */
  async addAbsence(outcome = 'not_produced'): Promise<string> {
    this.#nextId += 1;
    const jobId = this.#nextId;
    const key = `v1/records/host=${HOST}/owner=octo-org/repo=octo-repo/${jobId * 10}/1/${jobId}.json`;
    const absence = { reason: 'not_found', api_status: 200, log_status: 404, tries: 1 };
    await this.#commit('record', key, { ...recordFields(jobId, jobId * 10), outcome, log: null, absence });
    return key;
  }

  /** Writes the object of a complete run attempt. */
  async addRun(runId: number, archived: readonly number[], absent: readonly number[] = []): Promise<string> {
    const key = `v1/runs/host=${HOST}/owner=octo-org/repo=octo-repo/${runId}/1.json`;
    await this.#commit('run', key, {
      schema: 'everlog.run/v1',
      outcome: 'accounted',
      revision: 1,
      supersedes: null,
      host: HOST,
      owner: 'octo-org',
      repo: 'Octo-Repo',
      repository_id: 1,
      installation_id: 1,
      run_id: runId,
      run_attempt: 1,
      run: {},
      jobs: [],
      expected: [...archived, ...absent],
      archived,
      absent: absent.map((id) => ({ job_id: id, outcome: 'not_produced' })),
      complete: true,
      recorded_at: iso(Date.now()),
    });
    return key;
  }

  /** Writes down that objects were removed, or anything else. `changes` are laid over the object. */
  async addCustody(
    action: string,
    objects: readonly Readonly<Record<string, unknown>>[],
    changes: Readonly<Record<string, unknown>> = {},
  ): Promise<string> {
    this.#nextId += 1;
    const id = `20261120T000000Z-${this.#nextId.toString(16)}`;
    const key = `v1/custody/dt=${iso(this.nowMs).slice(0, 10)}/${id}.json`;
    await this.#commit('custody', key, {
      schema: 'everlog.custody/v1',
      id,
      action,
      at: iso(this.nowMs),
      who: { name: 'auditor', known_by: 'os_user', authenticated: false },
      reason: 'a token in it',
      case: null,
      scope: {},
      objects,
      result: {},
      archiver: { name: 'everlog', version: '0' },
      ...changes,
    });
    return key;
  }

  /** Seals what was committed since the last digest. */
  async seal(options: SealOptions = {}): Promise<MadeDigest> {
    if (this.keys.length === 0) await this.addKey();
    const sequence = this.digests.length + 1;
    const folder = `ledger/digests/${String(sequence).padStart(10, '0')}/`;
    const entries = await this.#putEntries(folder, options);
    const gaps = await this.#putGaps(folder, options.gaps);
    const windowStart = iso(this.nowMs);
    this.nowMs += this.#intervalMs;
    const signer = options.key ?? this.key;
    const digest = {
      schema: 'everlog.digest/v1',
      stream: this.stream,
      sequence,
      window_start: windowStart,
      window_end: iso(this.nowMs),
      created_at: iso(this.nowMs),
      interval_seconds: this.#intervalMs / 1_000,
      final: options.final ?? false,
      archive: this.#options.archive,
      entries,
      completeness: {
        reconciled_through: null,
        expected: 0,
        archived: 0,
        absent: {},
        pending: 0,
        failed: 0,
        gaps,
      },
      storage: {
        lock_mode: 'none',
        retention_days: null,
        create_only: 'atomic',
        queue_durability: 'durable',
        ...this.#options.storage,
      },
      previous: sequence === 1 ? null : { sequence: sequence - 1, sha256: this.digests.at(-1)?.sha256 ?? '' },
      key_id: signer.id,
      algorithm: 'Ed25519',
      ...options.changes,
    };
    const bytes = Buffer.from(`${JSON.stringify(digest)}\n`);
    const made = {
      sequence,
      sha256: sha256(bytes),
      key: `${folder}digest.json`,
      signatureKey: `${folder}${sha256(bytes)}.sig`,
      entriesKey: `${folder}${entries['file']}`,
      noteKey: `ledger/checkpoints/${String(sequence).padStart(10, '0')}.note`,
      bytes,
    };
    await this.#put(made.signatureKey, sign(null, bytes, signer.privateKey));
    await this.#put(made.key, bytes);
    this.digests.push(made);
    await this.#put(made.noteKey, this.#note(signer));
    return made;
  }

  async #putEntries(folder: string, options: SealOptions): Promise<Record<string, string | number>> {
    const sorted = this.#pending.sort((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)));
    this.#pending = [];
    const lines = (options.entries?.(sorted) ?? sorted).map((entry) => Buffer.from(JSON.stringify(entry)));
    const raw = Buffer.concat(lines.map((line) => Buffer.concat([line, Buffer.from('\n')])));
    const stored = gzipSync(raw);
    const file = `${sha256(stored)}.entries.ndjson.gz`;
    await this.#put(folder + file, stored);
    return {
      file,
      sha256: sha256(raw),
      bytes: raw.length,
      stored_sha256: sha256(stored),
      stored_bytes: stored.length,
      count: lines.length,
      merkle_root: options.root ?? treeHash(lines).toString('hex'),
    };
  }

  async #putGaps(folder: string, gaps: SealOptions['gaps']): Promise<object | null> {
    if (gaps === undefined) return null;
    const bytes = Buffer.from(gaps.map((gap) => `${JSON.stringify(gap)}\n`).join(''));
    const file = `${sha256(bytes)}.gaps.ndjson`;
    await this.#put(folder + file, bytes);
    return { file, sha256: sha256(bytes), stored_sha256: sha256(bytes), count: gaps.length };
  }

  /** C2SP tlog-checkpoint over the tree of the digests so far. */
  #note(signer: MadeKey): Buffer {
    const root = treeHash(this.digests.map(({ bytes }) => bytes));
    const text = `${this.stream}\n${this.digests.length}\n${root.toString('base64')}\n`;
    const raw = Buffer.from(signer.privateKey.export({ format: 'jwk' }).x ?? '', 'base64url');
    const hash = createHash('sha256').update(`${this.stream}\n\x01`).update(raw).digest().subarray(0, 4);
    const blob = Buffer.concat([hash, sign(null, Buffer.from(text), signer.privateKey)]);
    return Buffer.from(`${text}\n\u2014 ${this.stream} ${blob.toString('base64')}\n`);
  }

  async #commit(type: string, key: string, value: object, log?: Entry['log']): Promise<void> {
    const bytes = Buffer.from(`${JSON.stringify(value)}\n`);
    const version = await this.#put(key, bytes);
    const entry = { type, key, version_id: version, bytes: bytes.length, sha256: sha256(bytes) };
    this.#pending.push(log === undefined ? entry : { ...entry, log });
  }

  async #putKeyFile(type: 'key' | 'revocation', key: string, value: object): Promise<void> {
    if (this.#options.sealsKeys === true) return this.#commit(type, key, value);
    await this.#put(key, Buffer.from(`${JSON.stringify(value)}\n`));
  }
}

/** A ledger of so many digests with so many jobs each, whose last window ends at `endMs`. */
export async function makeLedger(
  put: Put,
  options: Omit<MakerOptions, 'startMs'> & {
    readonly digests: number;
    readonly jobs: number;
    readonly endMs: number;
  },
): Promise<LedgerMaker> {
  const intervalMs = options.intervalMs ?? HOUR_MS;
  const maker = new LedgerMaker(put, { ...options, startMs: options.endMs - options.digests * intervalMs });
  for (let digest = 0; digest < options.digests; digest += 1) {
    for (let job = 0; job < options.jobs; job += 1) await maker.addJob();
    await maker.seal();
  }
  return maker;
}

export function makeKey(): MadeKey {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const id = sha256(publicKey.export({ type: 'spki', format: 'der' }));
  return { id, privateKey, publicKeyPem: publicKey.export({ type: 'spki', format: 'pem' }).toString() };
}

/** A raw Ed25519 signature. */
export function signatureBy(key: MadeKey, bytes: Uint8Array): Buffer {
  return sign(null, bytes, key.privateKey);
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** RFC 6962, 2.1, as it is written there. */
export function treeHash(leaves: readonly Buffer[]): Buffer {
  const [only] = leaves;
  if (only === undefined) return createHash('sha256').digest();
  if (leaves.length === 1) return createHash('sha256').update(Buffer.of(0)).update(only).digest();
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  const [left, right] = [treeHash(leaves.slice(0, split)), treeHash(leaves.slice(split))];
  return createHash('sha256').update(Buffer.of(1)).update(left).update(right).digest();
}

/** RFC 6962, 2.1.1: the audit path of a leaf. */
export function auditPath(index: number, leaves: readonly Buffer[]): Buffer[] {
  if (leaves.length <= 1) return [];
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  const [left, right] = [leaves.slice(0, split), leaves.slice(split)];
  return index < split
    ? [...auditPath(index, left), treeHash(right)]
    : [...auditPath(index - split, right), treeHash(left)];
}

function someLog(): Buffer {
  const words =
    randomBytes(60)
      .toString('hex')
      .match(/.{1,20}/g) ?? [];
  return Buffer.from(words.map((word) => `2026-11-20T10:00:00.0000000Z ${word}\n`).join(''));
}

function recordFields(jobId: number, runId: number): Record<string, unknown> {
  return {
    schema: 'everlog.job/v1',
    outcome: 'archived',
    revision: 1,
    supersedes: null,
    host: HOST,
    owner: 'octo-org',
    repo: 'Octo-Repo',
    repository_id: 1,
    installation_id: 1,
    run_id: runId,
    run_attempt: 1,
    job_id: jobId,
    job_name: 'build',
    absence: null,
    recorded_at: iso(Date.now()),
  };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
