import { randomBytes, randomUUID } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openFolderStore } from '../../src/store/folder/folder-object-store.ts';
import { openS3Store } from '../../src/store/s3/s3-object-store.ts';
import { retryable } from '../../src/errors.ts';
import type { Anchor, TimeStamper } from '../../src/ledger/ports.ts';
import { seal, type SealDeps, type SealedReport } from '../../src/ledger/seal/seal.ts';
import { openPemSigner } from '../../src/ledger/keys/signer.ts';
import { revokeKey, rotateKey } from '../../src/ledger/keys/signing-keys.ts';
import { timeStampOverHttp } from '../../src/ledger/witness/time-stamp-http.ts';
import { openTimeStamper } from '../../src/ledger/witness/time-stamp.ts';
import { demandAllSealed, folderFiles, readLedger } from '../support/oracles/ledger-oracle.ts';
import {
  commitJob,
  memoryQueue,
  newKeyPem,
  sealerOf,
  sha256Of,
  testFolder,
} from '../support/harness/sealing-under-test.ts';
import { runS3, SERVICE_HOOK_TIMEOUT_MS } from '../support/servers/services.ts';
import {
  startTimeStampAuthority,
  verifyTimeStamp,
  type TimeStampAuthority,
} from '../support/servers/time-stamp-authority.ts';

async function sealed(deps: SealDeps): Promise<SealedReport> {
  const report = await seal(deps, { final: false });
  if (report.outcome !== 'sealed') throw new Error(`not sealed: ${report.outcome}`);
  return report;
}

async function anchoredSite() {
  const folder = testFolder();
  const anchorFolder = testFolder();
  const store = await openFolderStore({ folder });
  const anchor = await openFolderStore({ folder: anchorFolder });
  const queue = memoryQueue();
  return { folder, anchorFolder, store, anchor, queue, deps: sealerOf(store, queue, { anchor }) };
}

/** What of the ledger belongs into the second place, by key. */
function copied(folder: string): Record<string, string> {
  const files = folderFiles(folder).keys();
  const wanted = files.filter((key) => /^ledger\/.*(digest\.json|\.sig|\.tsr|\.note|keys\/.*)$/.test(key));
  return Object.fromEntries(wanted.sort().map((key) => [key, readFileSync(join(folder, key), 'base64')]));
}

describe('the second place', () => {
  it('gets digests, signatures, notes and keys, byte for byte and nothing else', async () => {
    const { folder, anchorFolder, store, queue, deps } = await anchoredSite();
    for (let round = 1; round <= 3; round += 1) {
      await commitJob(store, queue, round);
      expect((await sealed(deps)).anchor).toEqual({ state: 'complete' });
    }
    const there = copied(anchorFolder);
    expect(there).toEqual(copied(folder));
    expect(Object.keys(there)).toHaveLength(10);
    expect(folderFiles(anchorFolder).keys()).toHaveLength(10);
  });

  it('is made up for when it was away, or is new', async () => {
    const { folder, anchorFolder, anchor, deps } = await anchoredSite();
    await sealed({ ...deps, anchor: null });
    const away: Anchor = {
      ...anchor,
      putIfAbsent: () => Promise.reject(retryable('store_unavailable', 'the second place is away')),
    };
    for (let round = 0; round < 2; round += 1) {
      expect((await sealed({ ...deps, anchor: away })).anchor).toEqual({
        state: 'behind',
        problem: 'the second place is away',
      });
    }
    expect((await sealed(deps)).anchor).toEqual({ state: 'complete' });
    expect(copied(anchorFolder)).toEqual(copied(folder));
  });

  it('keeps a ledger that lost its end from growing another', async () => {
    const { folder, anchorFolder, queue, deps } = await anchoredSite();
    for (let round = 0; round < 3; round += 1) await sealed(deps);
    const before = copied(anchorFolder);
    rmSync(join(folder, 'ledger/digests/0000000003'), { recursive: true });
    rmSync(join(folder, 'ledger/checkpoints/0000000003.note'));
    queue.lose();
    const refused = seal(deps, { final: false });
    await expect(refused).rejects.toMatchObject({ code: 'ledger_damaged', remedy: { kind: 'give_up' } });
    await expect(refused).rejects.toThrow(/holds digests up to 3, the archive up to 2/);
    expect(copied(anchorFolder)).toEqual(before);
    expect(readdirSync(join(folder, 'ledger/digests'))).toHaveLength(2);
  });

  it('is told to be another’s when it holds another ledger', async () => {
    const { anchorFolder, deps } = await anchoredSite();
    const other = await anchoredSite();
    for (let round = 0; round < 2; round += 1) await sealed(deps);
    for (let round = 0; round < 3; round += 1) await sealed({ ...other.deps, anchor: null });
    const before = copied(anchorFolder);
    const report = await sealed({ ...other.deps, anchor: deps.anchor });
    expect(report.findings).toMatchObject([{ kind: 'anchor_differs' }]);
    expect(report.anchor.state).toBe('behind');
    const after = copied(anchorFolder);
    for (const [key, bytes] of Object.entries(before)) expect(after[key]).toBe(bytes);
  });
});

describe('time stamps', () => {
  function stamper(authority: TimeStampAuthority): TimeStamper {
    return openTimeStamper({
      post: timeStampOverHttp({ url: authority.url }),
      randomBytes: (count) => randomBytes(count),
    });
  }

  it('are what openssl verifies, and are copied with the rest', async () => {
    const authority = await startTimeStampAuthority();
    const { folder, anchorFolder, deps } = await anchoredSite();
    const { sha256, timeStamps } = await sealed({ ...deps, timeStamp: stamper(authority) });
    expect(timeStamps).toEqual({ state: 'complete' });
    const place = join(folder, 'ledger/digests/0000000001');
    const reply = join(place, `${sha256}.tsr`);
    const said = verifyTimeStamp(reply, join(place, 'digest.json'), authority.certificatePath);
    expect(said).toContain('Verification: OK');
    expect(copied(anchorFolder)).toEqual(copied(folder));
    expect(Object.keys(copied(folder)).filter((key) => key.endsWith('.tsr'))).toHaveLength(1);
  });

  it('are made up for, and do not hold up the ledger', async () => {
    const authority = await startTimeStampAuthority();
    const { folder, anchorFolder, deps } = await anchoredSite();
    const stamped = { ...deps, timeStamp: stamper(authority) };
    authority.alter = () => ({ status: 503, body: Buffer.from('later') });
    for (let round = 0; round < 2; round += 1) {
      expect((await sealed(stamped)).timeStamps).toMatchObject({
        state: 'behind',
        problem: expect.stringMatching(/EVERLOG_TSA_URL.*503/),
      });
    }
    authority.alter = (body) => ({ status: 200, body });
    expect((await sealed(stamped)).timeStamps).toEqual({ state: 'complete' });
    expect(authority.queries).toHaveLength(5);
    await sealed(stamped);
    expect(authority.queries).toHaveLength(6);
    await readLedger(folderFiles(folder));
    expect(Object.keys(copied(folder)).filter((key) => key.endsWith('.tsr'))).toHaveLength(4);
    expect(copied(anchorFolder)).toEqual(copied(folder));
  });

  it('are refused when they are for other bytes or another request, or are none', async () => {
    const authority = await startTimeStampAuthority();
    const stamp = (): Promise<Uint8Array> => stamper(authority).stamp(Buffer.alloc(32, 7));
    await stamp();
    const [first = Buffer.alloc(0)] = authority.queries;
    authority.answerTo = first;
    await expect(stamp()).rejects.toThrow(/answers another request/);
    await expect(stamper(authority).stamp(Buffer.alloc(32, 8))).rejects.toThrow(/for other bytes/);
    authority.answerTo = Buffer.from('3003020101', 'hex');
    await expect(stamp()).rejects.toThrow(/did not grant/);
    authority.answerTo = null;
    authority.alter = (body) => ({ status: 200, body: body.subarray(0, body.length - 1) });
    await expect(stamp()).rejects.toThrow(/no time stamp/);
    authority.alter = () => ({ status: 200, body: Buffer.from('<html>') });
    await expect(stamp()).rejects.toMatchObject({
      code: 'time_stamp_unavailable',
      remedy: { kind: 'retry' },
    });
  });

  it('name no more of the authority than its host when it does not answer', async () => {
    const url = new URL('http://user:hidden@127.0.0.1:1/path?token=hidden');
    const failed = timeStampOverHttp({ url })(Buffer.from(''));
    await expect(failed).rejects.toThrow(/127\.0\.0\.1:1 .*ECONNREFUSED/);
    await expect(failed).rejects.not.toThrow(/hidden/);
  });
});

describe('keys over a ledger’s life', () => {
  it('are rotated three times, and a revoked one cannot seal', async () => {
    const { folder, store, queue, deps } = await anchoredSite();
    let signer = deps.signer;
    const signers = [signer];
    await commitJob(store, queue, 1);
    await sealed(deps);
    for (let round = 1; round <= 3; round += 1) {
      const next = openPemSigner(newKeyPem());
      await rotateKey(store, { current: signer, next }, new Date());
      signer = next;
      signers.push(next);
      await commitJob(store, queue, 1 + round);
      expect(await sealed({ ...deps, signer })).toMatchObject({ keyId: next.keyId, entries: 2 });
    }
    const { digests } = await demandAllSealed(folderFiles(folder));
    expect(digests.map(({ key_id }) => key_id)).toEqual(signers.map(({ keyId }) => keyId));
    await revokeKey(store, { keyId: signer.keyId, signer, reason: 'lost', at: new Date() });
    const refused = seal({ ...deps, signer }, { final: false });
    await expect(refused).rejects.toMatchObject({ code: 'signing_key_revoked', remedy: { kind: 'give_up' } });
    await expect(refused).rejects.toThrow(/EVERLOG_SIGNING_KEY/);
    // Of those that are left, any may go on.
    expect((await sealed(deps)).sequence).toBe(5);
    await readLedger(folderFiles(folder));
  });
});

describe('a rotation', () => {
  it('waits for the note on the last digest, which only the present key can sign', async () => {
    const { folder, store, deps } = await anchoredSite();
    await sealed({ ...deps, anchor: null });
    rmSync(join(folder, 'ledger/checkpoints/0000000001.note'));
    const rotation = { current: deps.signer, next: openPemSigner(newKeyPem()) };
    await expect(rotateKey(store, rotation, new Date())).rejects.toThrow(/run `everlog seal`/);
    await sealed(deps);
    await rotateKey(store, rotation, new Date());
    await sealed({ ...deps, signer: rotation.next });
    await readLedger(folderFiles(folder));
  });
});

describe('on a real S3 server', () => {
  it(
    'seals versions of locked objects, whether it refuses a second object or not',
    async () => {
      const s3 = await runS3();
      const bucket = `everlog-${randomUUID()}`;
      await s3.createBucket(bucket, { objectLock: true });
      const { endpoint, accessKeyId, secretAccessKey } = s3;
      const credentials = { accessKeyId, secretAccessKey };
      const store = openS3Store({
        bucket,
        prefix: 'a',
        forcePathStyle: true,
        endpoint,
        credentials,
        lockMode: 'GOVERNANCE',
        retentionDays: 1,
      });
      onTestFinished(() => store.close());
      const queue = memoryQueue();
      const deps = sealerOf(store, queue);
      for (let job = 1; job <= 5; job += 1) await commitJob(store, queue, job);
      expect(await sealed(deps)).toMatchObject({ sequence: 1, entries: 6, findings: [] });
      queue.lose();
      await commitJob(store, queue, 6);
      expect(await sealed(deps)).toMatchObject({ sequence: 2, entries: 1, listed: true });
      const mirror = testFolder();
      const copy = await openFolderStore({ folder: mirror });
      const versions: string[] = [];
      for await (const { key, versionId } of store.listVersions('')) {
        if (!/^(v1|ledger)\//.test(key)) continue;
        versions.push(key);
        expect(versionId).not.toBeNull();
        const found = await store.read(key);
        const chunks: Buffer[] = [];
        for await (const chunk of found?.body ?? []) chunks.push(Buffer.from(chunk));
        const bytes = Buffer.concat(chunks);
        const body = { bytes: bytes.length, sha256: '', open: () => bytes };
        await copy.putIfAbsent(
          key,
          { ...body, sha256: sha256Of(bytes) },
          { contentType: 'x', kind: 'other' },
        );
      }
      expect(new Set(versions).size).toBe(versions.length);
      const { digests } = await demandAllSealed(folderFiles(mirror));
      const [first] = digests;
      expect(first?.storage.create_only).toBe(s3.honoursCreateOnly ? 'atomic' : 'checked');
      expect(first?.lines.every(({ version_id }) => version_id !== null)).toBe(true);
    },
    SERVICE_HOOK_TIMEOUT_MS,
  );

  it('notices when a store that does not refuse a second object let a rival overwrite the digest', async () => {
    const { folder, store, queue, deps } = await anchoredSite();
    const overwriting = {
      ...store,
      abilities: () => Promise.resolve({ createOnly: 'checked', versions: false } as const),
      putIfAbsent: async (...[key, body, options]: Parameters<typeof store.putIfAbsent>) => {
        const put = await store.putIfAbsent(key, body, options);
        if (key.endsWith('digest.json')) {
          const path = join(folder, key);
          writeFileSync(
            path,
            readFileSync(path, 'utf8').replace('"interval_seconds":3600', '"interval_seconds":60'),
          );
        }
        return put;
      },
    };
    await commitJob(store, queue, 1);
    const rival = seal({ ...deps, store: overwriting }, { final: false });
    await expect(rival).rejects.toThrow(/run one sealer only/);
    expect(await queue.pending.count()).toBe(1);
  });
});
