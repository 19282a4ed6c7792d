import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openFolderStore } from '../../src/store/folder/folder-object-store.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { bytesBody } from '../../src/store/put-body.ts';
import { seal, type SealDeps, type SealedReport, type SealOptions } from '../../src/ledger/seal/seal.ts';
import { demandAllSealed, folderFiles, readLedger } from '../support/oracles/ledger-oracle.ts';
import { scaled } from '../support/harness/everlog-under-test.ts';
import {
  accounted,
  atTime,
  commitJob,
  keptLog,
  memoryQueue,
  newKeyPem,
  sealerOf,
  testFolder,
  type MemoryQueue,
} from '../support/harness/sealing-under-test.ts';
import { openPemSigner } from '../../src/ledger/keys/signer.ts';

const OPENSSL = '/usr/bin/openssl';

interface Site {
  readonly folder: string;
  readonly store: ObjectStore;
  readonly queue: MemoryQueue;
  readonly deps: SealDeps;
}

async function makeSite(changes: Partial<SealDeps> = {}): Promise<Site> {
  const folder = testFolder();
  const store = await openFolderStore({ folder });
  const queue = memoryQueue();
  return { folder, store, queue, deps: sealerOf(store, queue, changes) };
}

async function sealed(deps: SealDeps, options: SealOptions = { final: false }): Promise<SealedReport> {
  const report = await seal(deps, options);
  if (report.outcome !== 'sealed') throw new Error(`not sealed: ${report.outcome}`);
  return report;
}

describe('sealing', () => {
  it('gives every committed object one entry, and every interval a digest, also an empty one', async () => {
    const { folder, store, queue, deps } = await makeSite();
    for (let job = 1; job <= 30; job += 1) await commitJob(store, queue, job);
    expect(await sealed(deps)).toMatchObject({ sequence: 1, entries: 31, findingCount: 0 });
    expect(await sealed(deps)).toMatchObject({ sequence: 2, entries: 0 });
    for (let job = 31; job <= 40; job += 1) await commitJob(store, queue, job);
    expect(await sealed(deps)).toMatchObject({ sequence: 3, entries: 10, listed: false });
    const { digests } = await demandAllSealed(folderFiles(folder));
    expect(digests.map(({ entries }) => entries.count)).toEqual([31, 0, 10]);
    expect(await queue.pending.count()).toBe(0);
  });

  it('signs what openssl accepts', async () => {
    const { folder, store, queue, deps } = await makeSite();
    await commitJob(store, queue, 1);
    const { sha256 } = await sealed(deps);
    const pem = join(folder, 'key.pem');
    writeFileSync(pem, deps.signer.publicKeyPem);
    const place = join(folder, 'ledger/digests/0000000001');
    const args = ['pkeyutl', '-verify', '-pubin', '-rawin', '-inkey', pem, '-in', join(place, 'digest.json')];
    const checked = spawnSync(OPENSSL, [...args, '-sigfile', join(place, `${sha256}.sig`)]);
    expect(checked.stdout.toString()).toContain('Signature Verified Successfully');
    expect(checked.status).toBe(0);
  });

  it('seals a hint that comes again and again once only', async () => {
    const { folder, store, queue, deps } = await makeSite();
    const key = await commitJob(store, queue, 1);
    await sealed(deps);
    for (let round = 0; round < 3; round += 1) {
      await queue.pending.add([key]);
      expect(await sealed(deps)).toMatchObject({ entries: 0 });
    }
    await demandAllSealed(folderFiles(folder));
    expect(await queue.pending.count()).toBe(0);
  });

  it('finds what was committed when the queue was lost, and seals nothing twice', async () => {
    const { folder, store, queue, deps } = await makeSite();
    for (let job = 1; job <= 20; job += 1) await commitJob(store, queue, job);
    await sealed(deps);
    for (let job = 21; job <= 40; job += 1) await commitJob(store, queue, job);
    queue.lose();
    await commitJob(store, queue, 41);
    expect(await sealed(deps)).toMatchObject({ sequence: 2, entries: 21, listed: true });
    expect(await sealed(deps)).toMatchObject({ sequence: 3, entries: 0, listed: false });
    queue.lose();
    expect(await sealed(deps)).toMatchObject({ sequence: 4, entries: 0, listed: true });
    await demandAllSealed(folderFiles(folder));
  });

  it('tells once that its own digests were cut off, and goes on from what is left', async () => {
    const { folder, store, queue, deps } = await makeSite();
    await commitJob(store, queue, 1);
    await sealed(deps);
    const second = await commitJob(store, queue, 2);
    await sealed(deps);
    // Whoever may delete leaves a ledger that holds in itself: only the queue knows that there was more.
    for (const key of ['ledger/digests/0000000002', 'ledger/checkpoints/0000000002.note', second])
      rmSync(join(folder, key), { recursive: true });
    expect(await sealed(deps)).toMatchObject({
      sequence: 2,
      findingCount: 1,
      findings: [
        {
          kind: 'ledger_cut',
          key: 'ledger/digests/0000000002/digest.json',
          detail: expect.stringContaining('digest 2 was committed and is gone'),
        },
      ],
    });
    expect(await sealed(deps)).toMatchObject({ sequence: 3, findingCount: 0 });
  });

  it('tells of what it finds before the digest stands: a sealer that ends in between finds it again', async () => {
    const { folder, store, queue, deps } = await makeSite();
    await commitJob(store, queue, 1);
    const gone = await commitJob(store, queue, 2);
    rmSync(join(folder, gone));
    const told: string[] = [];
    const onFindings = (where: string, count: number): Promise<void> => {
      told.push(`${where}: ${count}`);
      expect(existsSync(join(folder, 'ledger/digests/0000000001/digest.json'))).toBe(false);
      return told.length > 1 ? Promise.resolve() : Promise.reject(new Error('the sealer ends here'));
    };
    await expect(sealed({ ...deps, onFindings })).rejects.toThrow('the sealer ends here');
    expect((await readLedger(folderFiles(folder))).digests).toEqual([]);
    expect(await sealed({ ...deps, onFindings })).toMatchObject({ sequence: 1, findingCount: 1 });
    expect(told).toEqual(['digest 1: 1', 'digest 1: 1']);
  });

  it('begins on an archive that is older than its ledger, over as many digests as it takes', async () => {
    const { folder, store, queue, deps } = await makeSite();
    for (let job = 1; job <= 25; job += 1) await commitJob(store, null, job);
    const report = await sealed(deps, { final: false, entriesMax: 10 });
    expect(report).toMatchObject({ sequence: 3, digests: 3, entries: 26, listed: true });
    const { digests } = await demandAllSealed(folderFiles(folder));
    expect(digests.map(({ entries }) => entries.count)).toEqual([10, 10, 6]);
    for (let job = 26; job <= 50; job += 1) await commitJob(store, queue, job);
    expect(await sealed(deps, { final: true, entriesMax: 10 })).toMatchObject({ digests: 3, listed: false });
    const all = await demandAllSealed(folderFiles(folder));
    expect(all.digests.map(({ final }) => final)).toEqual([false, false, false, false, false, true]);
  });

  it('begins again from the start when it was ended before an old archive was all sealed', async () => {
    const { folder, store, deps } = await makeSite();
    for (let job = 1; job <= 25; job += 1) await commitJob(store, null, job);
    const stop = new AbortController();
    const stopping: SealDeps = {
      ...deps,
      store: {
        ...store,
        putIfAbsent: async (key, body, options) => {
          const put = await store.putIfAbsent(key, body, options);
          if (key.endsWith('.note')) stop.abort();
          return put;
        },
      },
    };
    const options = { final: false, entriesMax: 10, signal: stop.signal };
    await expect(seal(stopping, options)).rejects.toMatchObject({ code: 'ledger_busy' });
    expect((await readLedger(folderFiles(folder))).sealed).toHaveLength(9);
    const now = (): Date => new Date(Date.now() + 7 * 24 * 3_600_000);
    const once = { ...deps, now, store: atTime(store, now) };
    expect(await sealed(once, { final: false, entriesMax: 10 })).toMatchObject({ listed: true });
    await demandAllSealed(folderFiles(folder));
  });

  it('seals nothing twice in an archive that was copied, where everything is new', async () => {
    const { folder, store, queue, deps } = await makeSite();
    for (let job = 1; job <= 12; job += 1) await commitJob(store, queue, job);
    await sealed(deps);
    const later = new Date(Date.now() + 7 * 24 * 3_600_000);
    for (const key of folderFiles(folder).keys()) utimesSync(join(folder, key), later, later);
    queue.lose();
    const now = (): Date => new Date(later.getTime() + 60_000);
    const moved = { ...deps, now, store: atTime(store, now) };
    expect(await sealed(moved)).toMatchObject({ entries: 0, listed: true });
    await demandAllSealed(folderFiles(folder));
  });

  it('lists the archive again when the pending commits were dropped under its hands', async () => {
    const { folder, store, queue, deps } = await makeSite();
    await sealed(deps);
    await commitJob(store, queue, 1);
    const dropping: SealDeps = {
      ...deps,
      accounting: {
        read: async () => {
          await commitJob(store, queue, 2);
          queue.lose();
          return { reconciledThrough: null, pending: 0, failed: 0, gaps: [] };
        },
      },
    };
    expect(await sealed(dropping)).toMatchObject({ sequence: 2, entries: 1 });
    expect(await sealed(deps)).toMatchObject({ sequence: 3, entries: 1, listed: true });
    expect(await sealed(deps)).toMatchObject({ sequence: 4, entries: 0, listed: false });
    await demandAllSealed(folderFiles(folder));
  });

  it('lets no clock that goes back turn the ledger back', async () => {
    let atMs = Date.parse('2030-01-01T10:00:00Z');
    const { folder, store, queue, deps } = await makeSite({ now: () => new Date(atMs) });
    for (let round = 1; round <= 3; round += 1) {
      await commitJob(store, queue, round);
      await sealed(deps);
      atMs -= 3_600_000;
    }
    const { digests } = await demandAllSealed(folderFiles(folder));
    expect(new Set(digests.map(({ created_at }) => created_at))).toEqual(
      new Set(['2030-01-01T10:00:00.000Z']),
    );
  });

  it('stays within 4,096 bytes whatever is missing', async () => {
    const gaps = scaled(10_000, 1_000_000);
    const gap = {
      host: 'github.com',
      owner: 'o'.repeat(39),
      repo: 'r'.repeat(100),
      repository_id: Number.MAX_SAFE_INTEGER,
      run_id: 1,
      run_attempt: 1,
      job_id: 1,
      jobs: 1,
      reason: 'failed',
      since: '2026-11-20T00:00:00Z',
    };
    function* missing() {
      for (let index = 1; index <= gaps; index += 1) yield { ...gap, job_id: index };
    }
    const { folder, deps } = await makeSite({ accounting: accounted(missing()) });
    expect(await sealed(deps)).toMatchObject({ gaps });
    const { digests } = await readLedger(folderFiles(folder));
    expect(digests[0]?.completeness.gaps?.count).toBe(gaps);
    expect(digests[0]?.gapLines.at(-1)).toEqual({ ...gap, job_id: gaps });
  });

  it('leaves no files in the spool, and says so when it cannot use it', async () => {
    const spoolFolder = testFolder();
    const { deps } = await makeSite({ spoolFolder });
    await sealed(deps);
    expect(readdirSync(spoolFolder)).toEqual([]);
    const nowhere = seal({ ...deps, spoolFolder: join(spoolFolder, 'gone') }, { final: false });
    await expect(nowhere).rejects.toThrow(/EVERLOG_SPOOL_DIR/);
  });

  it('is closed by a final digest', async () => {
    const { folder, store, queue, deps } = await makeSite();
    expect(await sealed(deps, { final: true })).toMatchObject({ sequence: 1, final: true });
    await commitJob(store, queue, 1);
    expect(await seal(deps, { final: false })).toEqual({ outcome: 'closed', sequence: 1, findings: [] });
    expect((await readLedger(folderFiles(folder))).digests).toHaveLength(1);
  });

  it('refuses a key that the ledger does not know, and says what to do', async () => {
    const { folder, deps } = await makeSite();
    await sealed(deps);
    const stranger = { ...deps, signer: openPemSigner(newKeyPem()) };
    const refused = seal(stranger, { final: false });
    await expect(refused).rejects.toMatchObject({ code: 'signing_key_unknown', remedy: { kind: 'give_up' } });
    await expect(refused).rejects.toThrow(/EVERLOG_SIGNING_KEY.*everlog keys rotate/);
    expect((await readLedger(folderFiles(folder))).digests).toHaveLength(1);
  });

  it('leaves the work to a sealer that is at it', async () => {
    const { queue, deps } = await makeSite();
    await queue.notes.claim('ledger-seal', 'another', 20_000);
    expect(await seal(deps, { final: false })).toEqual({ outcome: 'busy' });
  });

  it('keeps going over 72 idle intervals and three losses of the queue', async () => {
    let atMs = Date.parse('2030-01-01T00:00:00Z');
    const { folder, store, queue, deps } = await makeSite({ now: () => new Date(atMs) });
    for (let hour = 0; hour < 72; hour += 1) {
      if (hour % 24 === 7) await commitJob(store, queue, hour);
      if (hour % 24 === 11) queue.lose();
      await sealed(deps);
      atMs += 3_600_000;
    }
    const { digests } = await demandAllSealed(folderFiles(folder));
    expect(digests).toHaveLength(72);
    expect(digests[71]?.created_at).toBe('2030-01-03T23:00:00.000Z');
  });
});

describe('what the sealer finds', () => {
  async function tamperedSite(tamper: (folder: string) => void) {
    const site = await makeSite();
    for (let job = 1; job <= 10; job += 1) await commitJob(site.store, site.queue, job);
    tamper(site.folder);
    return { ...site, report: await sealed(site.deps) };
  }
  const recordOf = (job: number): string =>
    `v1/records/host=github.com/owner=octo-org/repo=octo-repo/1/1/${job}.json`;
  const logOf = (job: number): string =>
    `v1/logs/host=github.com/owner=octo-org/repo=octo-repo/dt=2020-01-20/1-1-${job}.log.gz`;

  it('tells of a log that is not the recorded one, and seals what the store says', async () => {
    const { folder, report } = await tamperedSite((at) => writeFileSync(join(at, logOf(4)), 'other'));
    expect(report.findings).toEqual([
      { kind: 'log_differs', key: logOf(4), detail: expect.stringMatching(/5 bytes.*SHA-256/) },
    ]);
    const { digests } = await demandAllSealed(folderFiles(folder));
    expect(digests[0]?.gapLines).toEqual([
      expect.objectContaining({ job_id: 4, jobs: 1, reason: 'log_differs', owner: 'octo-org' }),
    ]);
  });

  it('tells of a log that is gone', async () => {
    const { folder, report } = await tamperedSite((at) => rmSync(join(at, logOf(4))));
    expect(report.findings).toMatchObject([{ kind: 'log_missing', key: logOf(4) }]);
    const { digests } = await demandAllSealed(folderFiles(folder));
    expect(digests[0]?.lines.find(({ key }) => key === recordOf(4))).not.toHaveProperty('log');
    expect(digests[0]?.gapLines).toMatchObject([{ job_id: 4, reason: 'log_missing' }]);
  });

  it('tells of a record that is gone, is none, or is another’s', async () => {
    const { folder, report, queue } = await tamperedSite((at) => {
      rmSync(join(at, recordOf(3)));
      writeFileSync(join(at, recordOf(6)), '{"schema":');
      writeFileSync(join(at, recordOf(9)), 'null\n');
    });
    expect(report.findings.map(({ kind, key }) => [kind, key])).toEqual([
      ['object_missing', recordOf(3)],
      ['object_unreadable', recordOf(6)],
      ['object_unreadable', recordOf(9)],
    ]);
    await demandAllSealed(folderFiles(folder));
    expect(await queue.pending.count()).toBe(0);
  });

  it('seals the log of a record that another version wrote with fewer members', async () => {
    const { folder, report } = await tamperedSite((at) => {
      const { job: _, fetch: __, ...rest } = JSON.parse(readFileSync(join(at, recordOf(5)), 'utf8'));
      writeFileSync(join(at, recordOf(5)), `${JSON.stringify(rest)}\n`);
    });
    expect(report.findings).toEqual([]);
    const { digests } = await demandAllSealed(folderFiles(folder));
    expect(digests[0]?.lines.find(({ key }) => key === recordOf(5))?.log?.key).toBe(logOf(5));
  });

  it('does not go on without a digest that is gone, nor behind one that nobody signed', async () => {
    const { folder, store, queue, deps } = await makeSite();
    await commitJob(store, queue, 1);
    for (let round = 0; round < 3; round += 1) await sealed(deps);
    rmSync(join(folder, 'ledger/digests/0000000003/digest.json'));
    await expect(seal(deps, { final: false })).rejects.toMatchObject({ code: 'ledger_damaged' });
    const second = await makeSite();
    const { sha256 } = await sealed(second.deps);
    rmSync(join(second.folder, `ledger/digests/0000000001/${sha256}.sig`));
    await expect(seal(second.deps, { final: false })).rejects.toThrow(/not signed/);
  });

  it('does not go on from digests that were changed, when it has to read them', async () => {
    const { folder, queue, deps } = await makeSite();
    for (let round = 0; round < 3; round += 1) await sealed(deps);
    const path = join(folder, 'ledger/digests/0000000002/digest.json');
    const { digests } = await readLedger(folderFiles(folder));
    writeFileSync(
      path,
      (digests[1]?.raw.toString() ?? '').replace('"interval_seconds":3600', '"interval_seconds":3601'),
    );
    queue.lose();
    await expect(seal(deps, { final: false })).rejects.toThrow(/not those that/);
  });

  it('passes over a key that gets no entry, and says so', async () => {
    const { log, lines } = keptLog();
    const { folder, queue, deps } = await makeSite({ log });
    await sealed(deps);
    await queue.pending.add(['v1/names/host=github.com/id=1/a~b.json', 'no/key', logOf(1)]);
    expect(await sealed(deps)).toMatchObject({ entries: 0, findingCount: 0 });
    expect(lines.filter(({ level }) => level === 'warn')).toHaveLength(3);
    expect(await queue.pending.count()).toBe(0);
    await readLedger(folderFiles(folder));
  });

  it('counts run attempts by their newest object, and seals custody', async () => {
    const { folder, store, queue, deps } = await makeSite();
    const at = 'v1/runs/host=github.com/owner=octo-org/repo=octo-repo/7';
    const run = (expected: number, absent: readonly string[]): Buffer =>
      Buffer.from(
        `${JSON.stringify({
          schema: 'everlog.run/v1',
          expected: Array.from({ length: expected }, (_, id) => id),
          archived: Array.from({ length: expected - absent.length }, (_, id) => id),
          absent: absent.map((outcome, id) => ({ job_id: id, outcome })),
          recorded_at: new Date().toISOString(),
        })}\n`,
      );
    const custody = (changes: object): Buffer =>
      Buffer.from(
        `${JSON.stringify({
          schema: 'everlog.custody/v1',
          id: '20261120T000000Z-ab',
          action: 'purge',
          at: '2026-11-20T00:00:00Z',
          who: { name: 'ada', known_by: 'os_user', authenticated: false },
          reason: 'a token in it',
          case: null,
          scope: {},
          objects: [],
          result: {},
          archiver: { name: 'everlog', version: '0' },
          ...changes,
        })}\n`,
      );
    const objects: [string, Buffer][] = [
      [`${at}/1.json`, run(5, ['expired'])],
      [`${at}/1.r10.json`, run(7, ['expired', 'expired'])],
      [`${at}/1.r2.json`, run(6, ['expired'])],
      [`${at}/2.json`, run(3, ['not_produced', '<script>'])],
      ['v1/custody/dt=2026-11-20/20261120T000000Z-ab.json', custody({})],
    ];
    for (const [key, bytes] of objects) {
      await store.putIfAbsent(key, bytesBody(bytes), { contentType: 'application/json', kind: 'other' });
      await queue.pending.add([key]);
    }
    expect(await sealed(deps)).toMatchObject({ entries: 6, findingCount: 0 });
    const { digests } = await demandAllSealed(folderFiles(folder));
    const vague = 'v1/custody/dt=2026-11-20/20261120T000000Z-cd.json';
    const unsaid: object[] = [
      { who: undefined },
      { who: { name: 'ada', known_by: '', authenticated: false } },
      { reason: ' ' },
      { scope: undefined },
      { archiver: undefined },
      { action: 'expiry', reason: null },
      {},
    ];
    for (const [index, changes] of unsaid.entries()) {
      const key = vague.replace('cd', `c${index}`);
      const id = index === unsaid.length - 1 ? 'another' : `20261120T000000Z-c${index}`;
      const bytes = bytesBody(custody({ id, ...changes }));
      await store.putIfAbsent(key, bytes, { contentType: 'application/json', kind: 'other' });
      await queue.pending.add([key]);
    }
    const report = await sealed(deps);
    expect(report).toMatchObject({ entries: 0, findingCount: unsaid.length });
    expect(digests[0]?.completeness).toMatchObject({
      expected: 10,
      archived: 6,
      absent: { expired: 2, not_produced: 1, other: 1 },
    });
    expect(digests[0]?.lines.map(({ type }) => type)).toEqual(['key', 'custody', 'run', 'run', 'run', 'run']);
  });
});
