import { createPublicKey, randomBytes, verify } from 'node:crypto';
import type { ObjectStore } from '../store/object-store.ts';
import type { Config } from '../config.ts';
import { SIGNING_KEY_CURE } from '../config/sealing-variables.ts';
import { giveUp } from '../errors.ts';
import { listKeys, usableKey } from '../ledger/keys/signing-keys.ts';
import { findLastDigest } from '../ledger/standing-digests.ts';
import { openArchive } from '../service/archive.ts';
import { keyIn, openSigner } from '../service/sealing/signing.ts';
import { check, type Checked, type CheckResult } from './check.ts';

const PROBE_BYTES = 32;

/** Whether digests can be signed with a key that the ledger knows, and copied to another place. */
export async function examineLedger(config: Config, store: ObjectStore): Promise<readonly Checked[]> {
  return [
    await check('ledger', 'signing key', 'set EVERLOG_SIGNING_KEY to a key of this ledger', () =>
      trySigning(config, store),
    ),
    await check('ledger', 'anchor', 'correct EVERLOG_ANCHOR_URL', () => examineAnchor(config, store)),
  ];
}

async function trySigning(config: Config, store: ObjectStore): Promise<CheckResult> {
  const setting = config.sealing.signingKey;
  if (setting === null) {
    const detail = 'none: this process writes no digests';
    return { status: 'warning', detail, fix: `EVERLOG_SIGNING_KEY: ${SIGNING_KEY_CURE}` };
  }
  const keys = await listKeys(store);
  // Opening would make it.
  if (setting.kind === 'file' && keys.length === 0 && (await keyIn(setting.path)) === null)
    return { status: 'ok', detail: `made at the first start, at ${setting.path}` };
  const open = await openSigner(setting, config, store);
  try {
    const { keyId, publicKeyPem } = open.signer;
    const bytes = randomBytes(PROBE_BYTES);
    const signature = await open.signer.sign(bytes);
    if (!verify(null, bytes, createPublicKey(publicKeyPem), signature))
      throw giveUp('signing_key_invalid', `key ${keyId} made a signature that its public half refuses`);
    if (keys.length === 0)
      return { status: 'ok', detail: `${keyId} signs; the first digest brings it into the ledger` };
    usableKey(keys, keyId);
    const last = await findLastDigest(store, 0);
    if (last?.digest.final !== true) return { status: 'ok', detail: `${keyId} signs, and is of this ledger` };
    const detail = `digest ${last.sequence} closed the ledger: the archive takes nothing more, and jobs wait`;
    const fix = 'archive to another prefix or folder (EVERLOG_ARCHIVE_URL): it gets a ledger of its own';
    return { status: 'failed', detail, fix };
  } finally {
    open.close();
  }
}

async function examineAnchor(config: Config, store: ObjectStore): Promise<CheckResult> {
  const { anchor: url } = config.sealing;
  if (url === null) {
    const detail = 'none: whoever can delete in the archive can cut off the end of the ledger unnoticed';
    return { status: 'warning', detail, fix: 'set EVERLOG_ANCHOR_URL to a bucket of another account' };
  }
  const plain = { lockMode: 'none', retentionDays: null, kmsKeyId: null, logStorageClass: null } as const;
  const anchor = await openArchive({ proxies: config.proxies, s3: { ...config.s3, ...plain } }, url);
  try {
    await anchor.ping();
    await anchor.abilities();
    return judgePlaces(store.location, anchor.location);
  } finally {
    await anchor.close();
  }
}

/** A copy below the archive itself, or beside it in its bucket, falls to the same hand. */
function judgePlaces(archive: string, anchor: string): CheckResult {
  const fix = 'set EVERLOG_ANCHOR_URL to a bucket of another account, or a disk of another machine';
  const [one, other] = [`${archive}/`, `${anchor}/`];
  if (one.startsWith(other) || other.startsWith(one))
    return { status: 'failed', detail: `${anchor} is the archive itself, or a part of it`, fix };
  if (bucketName(archive) !== null && bucketName(archive) === bucketName(anchor))
    return { status: 'warning', detail: `${anchor} is in the archive's own bucket`, fix };
  return { status: 'ok', detail: `${anchor} answers and takes objects` };
}

function bucketName(location: string): string | null {
  return /^s3:\/\/([^/]+)/.exec(location)?.[1] ?? null;
}
