import { randomBytes } from 'node:crypto';
import { lstat, mkdtemp, rmdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { readWhole, type ObjectHead, type ObjectStore } from '../store/object-store.ts';
import { bytesBody } from '../store/put-body.ts';
import type { Config } from '../config.ts';
import { codeOf, EverlogError, giveUp, messageOf } from '../errors.ts';
import { check, judgeSkew, skipped, type Checked, type CheckResult } from './check.ts';

/** Objects of earlier runs whose lock has ended by now are removed, so many at a time. */
const LEFTOVERS_MAX = 100;
const PROBES = 'probe/doctor-';
/** Long enough for the proof and for clocks that disagree; as long as that, the object cannot be tidied away. */
const PROBE_LOCK_MS = 10 * 60_000;

const OTHER_FIX = 'see the message; the archive is named by EVERLOG_ARCHIVE_URL';

interface Probe {
  readonly key: string;
  readonly head: ObjectHead;
  readonly writtenAt: Date;
  /** False where an earlier run of the day wrote it: the bucket's default locks it for long. */
  readonly isNew: boolean;
}

/** Whether the archive answers, keeps what it is given, and refuses what it must, by trying. */
export async function examineArchive(config: Config, store: ObjectStore): Promise<readonly Checked[]> {
  if (config.archive.kind === 'folder' && (await isMissing(config.archive.folder)))
    return [await examineUnmade(resolve(config.archive.folder))];
  const reachable = await check('archive', 'reachable', OTHER_FIX, async () => {
    await store.ping();
    return { status: 'ok', detail: store.location };
  });
  if (reachable.status !== 'ok') return [reachable];
  let probe: Probe | null = null;
  const writable = await check('archive', 'writable', 'give Everlog the right to write there', async () => {
    probe = await writeProbe(config, store);
    return { status: 'ok', detail: 'an object was written and read back' };
  });
  if (probe === null) return [reachable, writable];
  const written: Probe = probe;
  const results = [
    reachable,
    writable,
    await check('archive', 'create-only', OTHER_FIX, () => tryOverwriting(store, written)),
    await check('archive', 'versions', OTHER_FIX, () => judgeVersions(config, store)),
    await check('archive', 'lock', OTHER_FIX, () => proveLock(config, store, written)),
    await check('archive', 'sha256', OTHER_FIX, async () => judgeHash(written.head)),
    written.isNew
      ? await check('archive', 'clock', OTHER_FIX, async () =>
          judgeSkew(written.head.lastModified, written.writtenAt, "the store's clock"),
        )
      : skipped('archive', 'clock', 'today’s probe object was written by an earlier run'),
  ];
  await tidyUp(store);
  return results;
}

/** A folder that the first service makes is not made by looking: an empty archive would pass for one that has lost everything. */
function examineUnmade(folder: string): Promise<Checked> {
  const fix = 'give Everlog the right to make it, or correct EVERLOG_ARCHIVE_URL';
  return check('archive', 'reachable', fix, async () => {
    let above = dirname(folder);
    while (await isMissing(above)) above = dirname(above);
    try {
      // Tried, as rights do not say it all: root may write everywhere, and nobody makes a folder in /proc.
      await rmdir(await mkdtemp(join(above, '.everlog-probe-')));
    } catch (error) {
      throw giveUp('store_refused', `${folder} cannot be made: ${messageOf(error)}`, error);
    }
    return { status: 'skipped', detail: `none yet: the first \`everlog up\` makes it at ${folder}` };
  });
}

async function isMissing(path: string): Promise<boolean> {
  return lstat(path).then(
    () => false,
    (error: unknown) => codeOf(error) === 'ENOENT',
  );
}

async function writeProbe(config: Config, store: ObjectStore): Promise<Probe> {
  const { lockMode } = config.s3;
  const writtenAt = new Date();
  // Under the bucket's default retention an object stays for long: one a day is enough.
  const name = lockMode === 'bucket' ? writtenAt.toISOString().slice(0, 10) : randomBytes(8).toString('hex');
  const key = PROBES + name;
  const bytes = Buffer.from('everlog doctor wrote this to see what the store does with it\n');
  const isLocked = lockMode === 'GOVERNANCE' || lockMode === 'COMPLIANCE';
  const put = await store.putIfAbsent(key, bytesBody(bytes), {
    contentType: 'text/plain',
    kind: 'other',
    ...(isLocked ? { retainUntil: new Date(writtenAt.getTime() + PROBE_LOCK_MS) } : {}),
  });
  const read = await readWhole(store, key);
  const head = await store.head(key);
  if (read === null || head === null || !read.bytes.equals(bytes)) {
    throw giveUp('store_unsuitable', `${store.location} did not give back what was written to ${key}`);
  }
  return { key, head, writtenAt, isNew: put.outcome === 'created' };
}

async function tryOverwriting(store: ObjectStore, probe: Probe): Promise<CheckResult> {
  const other = bytesBody(Buffer.from('this must not replace anything\n'));
  const { outcome } = await store.putIfAbsent(probe.key, other, { contentType: 'text/plain', kind: 'other' });
  if (outcome !== 'exists') {
    const fix = 'use another store: this one replaces objects that must never change';
    return { status: 'failed', detail: 'a second object of the same name was accepted', fix };
  }
  if ((await store.abilities()).createOnly === 'atomic')
    return { status: 'ok', detail: 'the store itself refuses a second object of the same name' };
  return {
    status: 'warning',
    detail:
      'the store ignores If-None-Match: objects are looked up before they are written, which two writers can race',
    fix: 'use a store that honours If-None-Match on PUT (AWS S3 does), or run a single worker',
  };
}

async function judgeVersions(config: Config, store: ObjectStore): Promise<CheckResult> {
  if (config.archive.kind === 'folder')
    return { status: 'ok', detail: 'a folder keeps no versions; nothing is overwritten by Everlog' };
  const { versions } = await store.abilities();
  if (versions) return { status: 'ok', detail: 'every version of an object is kept' };
  const fix = 'turn versioning on for the bucket';
  const detail = 'the bucket keeps no versions: what somebody overwrites is gone';
  return { status: config.s3.lockMode === 'none' ? 'warning' : 'failed', detail, fix };
}

/** A locked version must be refused to whoever asks; the bypass of GOVERNANCE is not tried, as its holder would get it. */
async function proveLock(config: Config, store: ObjectStore, probe: Probe): Promise<CheckResult> {
  const { lockMode } = config.s3;
  if (lockMode === 'none') {
    const detail = 'no lock: whoever may delete in the archive can delete evidence';
    const fix =
      config.archive.kind === 'folder'
        ? 'for evidence, use a bucket with Object Lock: folders have no locks'
        : 'turn Object Lock on for the bucket, and set EVERLOG_LOCK_MODE';
    return { status: 'warning', detail, fix };
  }
  if (config.archive.kind === 'folder') {
    const fix = 'set EVERLOG_ARCHIVE_URL to a bucket, or EVERLOG_LOCK_MODE=none';
    return { status: 'failed', detail: `EVERLOG_LOCK_MODE=${lockMode}, and folders have no locks`, fix };
  }
  const { key, head } = probe;
  const lock = await store.lockOf(key, head.versionId ?? undefined);
  if (lock === null || lock.mode === null || lock.retainUntil === null) {
    const fix =
      lockMode === 'bucket'
        ? "set the bucket's default retention, or EVERLOG_LOCK_MODE to GOVERNANCE"
        : 'turn Object Lock on for the bucket';
    return { status: 'failed', detail: 'what was written is not locked', fix };
  }
  const isFirm = lock.mode === 'COMPLIANCE';
  for (const bypassGovernance of isFirm ? [false, true] : [false]) {
    if ((await store.remove(key, head.versionId, { bypassGovernance })) !== 'locked') {
      const fix = 'use a store that enforces Object Lock, and tell its maker';
      return { status: 'failed', detail: `a version under ${lock.mode} was deleted`, fix };
    }
  }
  const until = lock.retainUntil.toISOString();
  return { status: 'ok', detail: `a version under ${lock.mode} until ${until} was not deleted when asked` };
}

function judgeHash(head: ObjectHead): CheckResult {
  if (head.sha256 !== null) return { status: 'ok', detail: 'the store keeps a SHA-256 of its own' };
  return { status: 'ok', detail: 'the store gives no SHA-256 of its own: the sealer reads the bytes' };
}

/** What can be removed goes; who may not delete leaves one small object a run, which is as it should be. */
async function tidyUp(store: ObjectStore): Promise<void> {
  const leftovers: { key: string; versionId: string | null }[] = [];
  for await (const { key, versionId } of store.listVersions(PROBES)) {
    if (leftovers.push({ key, versionId }) >= LEFTOVERS_MAX) break;
  }
  try {
    for (const { key, versionId } of leftovers)
      await store.remove(key, versionId, { bypassGovernance: false });
  } catch (error) {
    if (!(error instanceof EverlogError)) throw error;
  }
}
