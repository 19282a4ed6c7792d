import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openFolderStore } from '../../src/store/folder/folder-object-store.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { openS3Store } from '../../src/store/s3/s3-object-store.ts';
import { retryable } from '../../src/errors.ts';
import { seal, type SealDeps } from '../../src/ledger/seal/seal.ts';
import { openPemSigner } from '../../src/ledger/keys/signer.ts';
import {
  demandAllSealed,
  fakeFiles,
  folderFiles,
  type ArchiveFiles,
} from '../support/oracles/ledger-oracle.ts';
import { scaled } from '../support/harness/everlog-under-test.ts';
import { spawnManaged } from '../support/processes/processes.ts';
import { startRedis } from '../support/servers/redis-server.ts';
import { startS3Fake, type S3Fake } from '../support/servers/s3-fake/s3-fake.ts';
import {
  commitJob,
  memoryQueue,
  newKeyPem,
  sealerOf,
  testFolder,
} from '../support/harness/sealing-under-test.ts';

/** Ends all effects at the nth: that one takes place, or does not, and nothing after it does. */
function endingAt(deps: SealDeps, nth: number, takesPlace: boolean): { deps: SealDeps; effects: string[] } {
  const effects: string[] = [];
  async function effect<T>(name: string, work: () => Promise<T>): Promise<T> {
    effects.push(name);
    if (effects.length < nth) return work();
    if (effects.length === nth && takesPlace) await work();
    throw retryable('store_unavailable', `ended at ${name}`);
  }
  const guarded = <S extends Pick<ObjectStore, 'putIfAbsent'>>(store: S, name: string): S => ({
    ...store,
    putIfAbsent: (key: string, body: never, options: never) =>
      effect(`${name} ${key}`, () => store.putIfAbsent(key, body, options)),
  });
  const { pending, notes } = deps;
  return {
    effects,
    deps: {
      ...deps,
      store: guarded(deps.store, 'put'),
      anchor: deps.anchor === null ? null : guarded(deps.anchor, 'anchor'),
      pending: {
        ...pending,
        remove: (keys) => effect('remove', () => pending.remove(keys)),
        setMark: (sequence) => effect('mark', () => pending.setMark(sequence)),
      },
      notes: { ...notes, note: (name, text, ms) => effect(`note ${name}`, () => notes.note(name, text, ms)) },
    },
  };
}

async function fakeSite(): Promise<{ fake: S3Fake; store: () => ObjectStore; files: ArchiveFiles }> {
  const fake = await startS3Fake();
  const bucket = `b-${randomUUID()}`;
  await fake.createBucket(bucket, { objectLock: true });
  const opened: ObjectStore[] = [];
  onTestFinished(async () => {
    await Promise.all(opened.map((store) => store.close()));
    await fake.stop();
  });
  return {
    fake,
    files: fakeFiles(fake, bucket, 'p/'),
    store: () => {
      const credentials = { accessKeyId: fake.accessKeyId, secretAccessKey: fake.secretAccessKey };
      const store = openS3Store({
        bucket,
        prefix: 'p',
        forcePathStyle: true,
        endpoint: fake.endpoint,
        credentials,
      });
      opened.push(store);
      return store;
    },
  };
}

describe.each([
  ['which takes place', true],
  ['which does not', false],
])('a sealer that ends at any effect, %s', (_, takesPlace) => {
  it.each([
    ['first', 0],
    ['second', 1],
  ])('loses and doubles nothing at the %s digest', async (_name, before) => {
    let nth = 0;
    let wasEnded = true;
    while (wasEnded) {
      nth += 1;
      const folder = testFolder();
      const anchorFolder = testFolder();
      const queue = memoryQueue();
      const store = await openFolderStore({ folder });
      const anchor = await openFolderStore({ folder: anchorFolder });
      const deps = sealerOf(store, queue, { anchor });
      for (let round = 0; round < before; round += 1) await seal(deps, { final: false });
      for (let job = 1; job <= 2; job += 1) await commitJob(store, queue, job);
      const ending = endingAt(deps, nth, takesPlace);
      wasEnded = await seal(ending.deps, { final: false }).then(
        (report) => report.outcome === 'sealed' && report.anchor.state === 'behind',
        () => true,
      );
      await commitJob(store, queue, 5);
      const after = await seal(deps, { final: false });
      expect(after, `after ${ending.effects.at(nth - 1) ?? 'all'}`).toMatchObject({
        outcome: 'sealed',
        anchor: { state: 'complete' },
        findingCount: 0,
      });
      expect(await queue.pending.count()).toBe(0);
      const ledger = await demandAllSealed(folderFiles(folder));
      expect([before + 1, before + 2]).toContain(ledger.digests.length);
      const notes = folderFiles(anchorFolder)
        .keys()
        .filter((key) => key.endsWith('.note'));
      expect(notes).toHaveLength(ledger.digests.length);
    }
    // Key, entries, signature, digest, note, frontier, five copies, pending, mark: each was the last once.
    expect(nth).toBeGreaterThan(10);
  });
});

describe('rival sealers', () => {
  it('append one ledger, while commits are in flight, although nothing but the store keeps them apart', async () => {
    const { store, files } = await fakeSite();
    const queue = memoryQueue();
    const signer = openPemSigner(newKeyPem());
    // Each has its own claims: only the create-only PUT decides.
    const rivals = [1, 2].map(() => sealerOf(store(), queue, { signer, notes: memoryQueue().notes }));
    const writer = store();
    let job = 0;
    const digests = new Set<number>();
    for (let round = 0; round < scaled(4, 60); round += 1) {
      const commits = Array.from({ length: 30 }, () => commitJob(writer, queue, (job += 1)));
      const reports = await Promise.all(rivals.map((deps) => seal(deps, { final: false })));
      for (const report of reports) if (report.outcome === 'sealed') digests.add(report.sequence);
      await Promise.all(commits);
    }
    for (const deps of rivals) await seal(deps, { final: false });
    const ledger = await demandAllSealed(files);
    // Every report was of a digest of its own.
    expect(digests.size).toBe(scaled(4, 60) * 2);
    expect(ledger.digests).toHaveLength(digests.size + 2);
    expect(ledger.sealed).toHaveLength(job);
  });

  it('leave each other alone where they share a queue', async () => {
    const { store, files } = await fakeSite();
    const queue = memoryQueue();
    const signer = openPemSigner(newKeyPem());
    const rivals = [1, 2].map(() => sealerOf(store(), queue, { signer }));
    for (let job = 1; job <= 10; job += 1) await commitJob(store(), queue, job);
    const reports = await Promise.all(rivals.map((deps) => seal(deps, { final: false })));
    expect(reports.map(({ outcome }) => outcome).sort()).toEqual(['busy', 'sealed']);
    await demandAllSealed(files);
  });
});

describe('sealer processes that are killed', () => {
  it('leave a ledger that the next one goes on with', async () => {
    const redis = await startRedis();
    onTestFinished(() => redis.stop());
    const folder = testFolder();
    const store = await openFolderStore({ folder });
    const pem = newKeyPem();
    const run = (endAt: number) => {
      const script = fileURLToPath(new URL('../support/processes/sealer-process.ts', import.meta.url));
      const tsx = join(import.meta.dirname, '../../node_modules/tsx/dist/loader.mjs');
      return spawnManaged(process.execPath, ['--import', tsx, script, redis.url, folder, String(endAt)], {
        env: { SIGNING_KEY_PEM: pem },
      }).exited;
    };
    let job = 0;
    for (const endAt of [3, 5, 6, 8]) {
      for (let more = 0; more < 5; more += 1) await commitJob(store, null, (job += 1));
      expect(await run(endAt)).toMatchObject({ signal: 'SIGKILL' });
    }
    expect(await run(0)).toMatchObject({ code: 0 });
    const ledger = await demandAllSealed(folderFiles(folder));
    expect(ledger.sealed).toHaveLength(job);
  });
});
