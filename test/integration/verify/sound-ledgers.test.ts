import { rmSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../../src/simulator/random.ts';
import {
  auditPath,
  folderPut,
  LedgerMaker,
  makeLedger,
  sha256,
  type MadeJob,
} from '../../support/oracles/ledger-maker.ts';
import { openFolderStore } from '../../../src/store/folder/folder-object-store.ts';
import { temporaryFolder } from '../../support/processes/processes.ts';
import { fileAt, findingsOf, verifyFolder, verifyStore } from '../../support/harness/verify-under-test.ts';

const HOUR_MS = 3_600_000;

/** A ledger that began so long ago, to be filled by the test. */
function begin(hours = 1): { folder: string; maker: LedgerMaker } {
  const folder = temporaryFolder();
  const startMs = Date.now() - hours * HOUR_MS;
  return { folder, maker: new LedgerMaker(folderPut(folder), { archive: `file:${folder}`, startMs }) };
}

test('everything that a ledger may hold is valid, and idle intervals are', async () => {
  const { folder, maker } = begin();
  await maker.seal();
  const built = await maker.addJob();
  const tested = await maker.addJob(Buffer.from(''), { run_id: built.runId });
  await maker.addJob(Buffer.from('no line feed at the end'));
  await maker.addJob(Buffer.from(Array.from({ length: 300_000 }, (_, line) => `line ${line}\n`).join('')));
  await maker.seal();
  await maker.addRun(built.runId, [built.jobId, tested.jobId]);
  await maker.addAbsence();
  await maker.addCustody('export', []);
  const gap = { host: 'github.com', owner: 'octo-org', repo: null, repository_id: null, run_id: null };
  await maker.seal({
    gaps: [{ ...gap, run_attempt: null, job_id: 5, jobs: 1, reason: 'failed', since: null }],
  });
  await maker.seal();
  folderPut(folder)('v1/names/host=github.com/id=1/octo-org~octo-repo.json', Buffer.from('{}'));
  const { summary, lines } = await verifyFolder(folder, { now: () => new Date(maker.nowMs) });
  expect(lines).toEqual(['UNANCHORED ledger/digests/0000000004/digest.json']);
  expect(summary).toMatchObject({ result: 'VALID', digests: 4, entries: 7, last_sequence: 4, final: false });
});

test('a closed ledger is not asked for later digests', async () => {
  const { folder, maker } = begin();
  await maker.addJob();
  await maker.seal({ final: true });
  const now = (): Date => new Date(Date.now() + 1_000 * HOUR_MS);
  const { lines, summary } = await verifyFolder(folder, { now });
  expect(lines).toEqual(['UNANCHORED ledger/digests/0000000001/digest.json']);
  expect(summary.final).toBe(true);

  await maker.seal();
  expect(findingsOf(await verifyFolder(folder, { now }))).toContain(
    'FORKED ledger/digests/0000000002/digest.json',
  );
});

test('an archive that was moved is told where it was', async () => {
  const { folder, maker } = begin(1);
  const other = temporaryFolder();
  const moved = new LedgerMaker(folderPut(other), { archive: 's3://old/place', startMs: maker.nowMs });
  await moved.addJob();
  await moved.seal();
  const { results, summary } = await verifyFolder(other);
  expect(results.map(({ result }) => result)).toEqual(['UNANCHORED', 'RELOCATED']);
  expect(results[1]?.detail).toContain('s3://old/place');
  expect(summary.findings).toBe(0);
  expect(folder).not.toBe(other);
});

describe('objects that were removed', () => {
  test('with a sealed custody object are erased or expired', async () => {
    const { folder, maker } = begin();
    const [purged, expired] = [await maker.addJob(), await maker.addJob()];
    await maker.seal();
    const named = (job: typeof purged): object[] =>
      [job.recordKey, job.logKey].map((key) => ({
        key,
        version_id: null,
        sha256: sha256(fileAt(folder, key).bytes),
      }));
    const claims: [string, typeof purged][] = [
      ['purge', purged],
      ['expiry', expired],
    ];
    for (const [action, job] of claims) {
      await maker.addCustody(action, named(job).map(Object));
      rmSync(join(folder, job.logKey));
      rmSync(join(folder, job.recordKey));
    }
    const unsealed = await verifyFolder(folder, { now: () => new Date(maker.nowMs) });
    expect(findingsOf(unsealed)).toHaveLength(4);
    expect(unsealed.results.filter(({ detail }) => detail.includes('is in no believed digest'))).toHaveLength(
      4,
    );

    await maker.seal();
    const { lines, summary } = await verifyFolder(folder, { now: () => new Date(maker.nowMs) });
    expect(summary.findings).toBe(0);
    expect(lines.filter((line) => !line.startsWith('UNANCHORED'))).toEqual(
      [
        `ERASED ${purged.recordKey}`,
        `ERASED ${purged.logKey}`,
        `EXPIRED ${expired.recordKey}`,
        `EXPIRED ${expired.logKey}`,
      ].sort(),
    );
  });

  test('are missing where the custody object means other bytes, or knew none', async () => {
    const { folder, maker } = begin();
    const [first, second] = [await maker.addJob(), await maker.addJob()];
    await maker.addCustody('purge', [
      { key: first.logKey, version_id: null, sha256: sha256(Buffer.from('other')) },
      { key: second.logKey, version_id: null, sha256: null },
    ]);
    await maker.seal();
    rmSync(join(folder, first.logKey));
    rmSync(join(folder, second.logKey));
    const expected = [`MISSING ${first.logKey}`, `MISSING ${second.logKey}`];
    expect(findingsOf(await verifyFolder(folder))).toEqual(expected);
  });
});

describe('a custody object that was sealed without saying everything', () => {
  const nobody = { name: '', known_by: 'os_user', authenticated: false };
  test.each<[string, string, object]>([
    ['who', 'purge', { who: undefined }],
    ['the name', 'purge', { who: nobody }],
    ['how the name is known', 'purge', { who: { name: 'ada', authenticated: false } }],
    ['why', 'purge', { reason: null }],
    ['of what', 'purge', { scope: undefined }],
    ['by which program', 'purge', { archiver: undefined }],
    ['by which rule', 'expiry', { reason: null, scope: {} }],
    ['its own id', 'purge', { id: 'another' }],
    ['when', 'expiry', { at: 'yesterday' }],
    ['its own day', 'purge', { at: '2020-01-01T00:00:00Z' }],
  ])('(%s) is modified and removes nothing', async (_what, action, changes) => {
    const { folder, maker } = begin();
    const job = await maker.addJob();
    const object = { key: job.logKey, version_id: null, sha256: sha256(fileAt(folder, job.logKey).bytes) };
    const custody = await maker.addCustody(action, [object], { ...changes });
    await maker.seal();
    rmSync(join(folder, job.logKey));
    expect(findingsOf(await verifyFolder(folder))).toEqual([`MISSING ${job.logKey}`, `MODIFIED ${custody}`]);
  });
});

describe('what was sealed wrongly, by whoever has the key', () => {
  test('a run that names a job without a record, or without its log, is incomplete', async () => {
    const { folder, maker } = begin();
    const job = await maker.addJob();
    await maker.addRun(job.runId, [job.jobId, 999]);
    const other = await maker.addAbsence();
    const [, runId = '', jobId = ''] = /\/(\d+)\/1\/(\d+)\.json$/.exec(other) ?? [];
    await maker.addRun(Number(runId), [Number(jobId)]);
    await maker.seal();
    const runs = [job.runId, runId].map(
      (id) => `INCOMPLETE v1/runs/host=github.com/owner=octo-org/repo=octo-repo/${id}/1.json`,
    );
    expect(findingsOf(await verifyFolder(folder))).toEqual(runs.sort());
  });

  test('an object sealed twice is shadowed', async () => {
    const { folder, maker } = begin(2);
    const job = await maker.addJob();
    let kept: readonly object[] = [];
    await maker.seal({ entries: (entries) => (kept = entries) && entries });
    await maker.seal({ entries: () => kept.map((entry) => Object(entry)) });
    expect(findingsOf(await verifyFolder(folder))).toEqual([`SHADOWED ${job.recordKey}`]);
  });

  test('a record that disagrees with its log or its key is modified', async () => {
    const { folder, maker } = begin(2);
    const wrongJob = await maker.addJob(undefined, { job_name: 'x', host: 'example.com' });
    const log = Buffer.from('hello\n');
    const stored = gzipSync(log);
    const wrongLines = await maker.addJob(log);
    await maker.seal();
    const key = wrongLines.logKey;
    const claims = { key, version_id: null, sha256: sha256(log), bytes: 6, lines: 2, encoding: 'gzip' };
    const liar = await maker.addJob(log, {
      job_id: 5_000,
      log: { ...claims, stored_sha256: sha256(stored), stored_bytes: stored.length },
    });
    await maker.seal();
    expect(findingsOf(await verifyFolder(folder))).toEqual(
      [`MODIFIED ${wrongJob.recordKey}`, `MODIFIED ${liar.recordKey}`].sort(),
    );
  });

  test('a log that is a bomb is found without being held', async () => {
    const { folder, maker } = begin();
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024));
    const small = await maker.addJob(Buffer.from('x'));
    const claims = { ...Object(small.record['log']), stored_sha256: sha256(bomb), stored_bytes: bomb.length };
    const record = Buffer.from(`${JSON.stringify({ ...small.record, log: claims })}\n`);
    const put = folderPut(folder);
    put(small.logKey, bomb);
    put(small.recordKey, record);
    await maker.seal({
      entries: (entries) =>
        entries.map((entry) => ({
          ...entry,
          bytes: record.length,
          sha256: sha256(record),
          log: { key: small.logKey, version_id: null, bytes: bomb.length, sha256: sha256(bomb) },
        })),
    });
    const { results } = await verifyFolder(folder);
    expect(results.find(({ key }) => key === small.logKey)).toMatchObject({
      result: 'MODIFIED',
      detail: 'it holds more than the 1 bytes that its record says',
    });
  });

  test('windows that do not follow each other are a gap; another ledger’s digest is a fork', async () => {
    const { folder, maker } = begin(3);
    await maker.seal();
    const later = new Date(maker.nowMs + 60_000).toISOString();
    await maker.seal({ changes: { window_start: later } });
    await maker.seal({ changes: { stream: 'everlog/0123' } });
    const key = (sequence: number): string => `ledger/digests/000000000${sequence}/digest.json`;
    expect(findingsOf(await verifyFolder(folder))).toEqual([`FORKED ${key(3)}`, `GAP ${key(2)}`]);
  });
});

test('a lock is measured by what was promised while the object was written', async () => {
  const folder = temporaryFolder();
  const [hour, day] = [HOUR_MS, 24 * HOUR_MS];
  const startMs = Date.now() - 30 * hour;
  const options = { archive: `file:${folder}`, startMs, intervalMs: 10 * hour };
  const maker = new LedgerMaker(folderPut(folder), options);
  const addAt = async (hours: number): Promise<MadeJob> => {
    const job = await maker.addJob();
    const writtenAt = new Date(startMs + hours * hour);
    for (const key of [job.recordKey, job.logKey]) utimesSync(join(folder, key), writtenAt, writtenAt);
    return job;
  };
  const storage = (lock_mode: string, retention_days: number | null) => ({
    changes: {
      storage: { lock_mode, retention_days, create_only: 'atomic', queue_durability: 'durable' },
    },
  });
  await addAt(5);
  await maker.seal(storage('none', null));
  // Written before the setting was changed, sealed after it.
  await addAt(7);
  const second = await addAt(15);
  await maker.seal(storage('GOVERNANCE', 30));
  const [shorter, third] = [await addAt(16), await addAt(25)];
  await maker.seal(storage('GOVERNANCE', 365));
  const store = await openFolderStore({ folder });
  const lockedFor = (days: number | null) => ({
    ...store,
    lockOf: async (key: string) => {
      const written = key.startsWith('ledger/') ? null : (await store.head(key))?.lastModified;
      if (days === null && written !== null) return null;
      const retainUntil = new Date((written?.getTime() ?? Date.now()) + (written ? (days ?? 0) : 400) * day);
      return { mode: 'GOVERNANCE', retainUntil, legalHold: false } as const;
    },
  });
  const keysOf = (jobs: readonly MadeJob[]): string[] =>
    jobs.flatMap(({ recordKey, logKey }) => [`RETENTION_SHORT ${logKey}`, `RETENTION_SHORT ${recordKey}`]);
  const found = async (days: number | null): Promise<string[]> =>
    findingsOf(await verifyStore(lockedFor(days)));
  expect(await found(400)).toEqual([]);
  expect(await found(31)).toEqual(keysOf([third]).sort());
  expect(await found(3)).toEqual(keysOf([second, shorter, third]).sort());
  expect(await found(null)).toEqual(keysOf([second, shorter, third]).sort());
  await store.close();
});

describe('levels', () => {
  test('heads finds what the sizes tell, and nothing in the bytes', async () => {
    const folder = temporaryFolder();
    const archive = `file:${folder}`;
    const maker = await makeLedger(folderPut(folder), { archive, digests: 2, jobs: 2, endMs: Date.now() });
    const [first, second] = maker.jobs;
    if (first === undefined || second === undefined) throw new Error('there are no jobs');
    const log = fileAt(folder, first.logKey);
    log.write(Buffer.concat([log.bytes, Buffer.from('x')]));
    const record = fileAt(folder, second.recordKey);
    record.write(Buffer.from(record.bytes.toString().replace('build', 'built')));
    const heads = await verifyFolder(folder, { level: 'heads' });
    expect(findingsOf(heads)).toEqual([`MODIFIED ${first.logKey}`]);
    expect(heads.results.at(-1)).toMatchObject({ result: 'NOT_CHECKED', key: 'v1/' });

    const ledger = await verifyFolder(folder, { level: 'ledger' });
    expect(findingsOf(ledger)).toEqual([]);
    expect(ledger.summary).toMatchObject({ objects: 0, results: { NOT_CHECKED: 1 } });
  });

  test('a sample reads the bytes of so many entries, chosen by chance', async () => {
    const folder = temporaryFolder();
    const archive = `file:${folder}`;
    const maker = await makeLedger(folderPut(folder), { archive, digests: 4, jobs: 5, endMs: Date.now() });
    const [job] = maker.jobs;
    if (job === undefined) throw new Error('there are no jobs');
    rmSync(join(folder, job.recordKey));
    let found = 0;
    for (let seed = 0; seed < 40; seed += 1) {
      const sampled = { level: 'ledger', sample: 10, random: seededRandom(seed) } as const;
      const { summary, lines } = await verifyFolder(folder, sampled);
      expect(summary.objects).toBe(20);
      const hit = lines.includes(`MISSING ${job.recordKey}`);
      expect(summary.findings).toBe(hit ? 1 : 0);
      if (hit) found += 1;
    }
    // Half of the entries each time.
    expect(found).toBeGreaterThan(8);
    expect(found).toBeLessThan(32);
  });

  test('a sample does not miss the records of a complete run that it happens to read', async () => {
    const { folder, maker } = begin(2);
    const [one, other] = [await maker.addJob(), await maker.addJob()];
    await maker.addRun(one.runId, [one.jobId]);
    await maker.addRun(other.runId, [other.jobId]);
    await maker.seal();
    for (let seed = 0; seed < 20; seed += 1) {
      const sampled = { level: 'ledger', sample: 2, random: seededRandom(seed) } as const;
      const { summary, lines } = await verifyFolder(folder, sampled);
      expect({ seed, lines, findings: summary.findings }).toMatchObject({ findings: 0 });
    }
  });

  test('a sample finds a removal’s evidence outside the sample', async () => {
    const { folder, maker } = begin(2);
    const job = await maker.addJob();
    await maker.seal();
    const objects = [job.recordKey, job.logKey].map((key) => ({
      key,
      version_id: null,
      sha256: sha256(fileAt(folder, key).bytes),
    }));
    await maker.addCustody('purge', objects);
    await maker.seal();
    for (const { key } of objects) rmSync(join(folder, key));
    const { lines, summary } = await verifyFolder(folder, { level: 'ledger', sample: 5 });
    expect(summary.findings).toBe(0);
    expect(lines).toContain(`ERASED ${job.logKey}`);
  });
});

test('a range looks at what was sealed in it, and along the whole chain', async () => {
  const { folder, maker } = begin(6);
  const jobs = [];
  for (let digest = 0; digest < 5; digest += 1) {
    const job = await maker.addJob();
    jobs.push(job);
    const writtenAt = new Date(maker.nowMs + HOUR_MS / 2);
    for (const key of [job.recordKey, job.logKey]) utimesSync(join(folder, key), writtenAt, writtenAt);
    await maker.seal();
  }
  for (const job of jobs) rmSync(join(folder, job.logKey));
  const startMs = maker.nowMs - 5 * HOUR_MS;
  const range = { fromMs: startMs + 1.5 * HOUR_MS, toMs: startMs + 2.5 * HOUR_MS };
  const verified = await verifyFolder(folder, { range });
  const expected = jobs.slice(1, 3).map(({ logKey }) => `MISSING ${logKey}`);
  expect(findingsOf(verified)).toEqual(expected.sort());
  expect(verified.summary.digests).toBe(5);
  expect(verified.summary.results['NOT_CHECKED']).toBe(2);
});

describe('a bundle', () => {
  /** The entries of one digest as an export gives them. */
  function select(folder: string, maker: LedgerMaker, sequence: number, indexes: readonly number[]): void {
    const digest = maker.digests[sequence - 1];
    if (digest === undefined) throw new Error(`there is no digest ${sequence}`);
    const raw = gunzipSync(fileAt(folder, digest.entriesKey).bytes).toString();
    const lines = raw
      .split('\n')
      .slice(0, -1)
      .map((line) => Buffer.from(line));
    const chosen = indexes.map((index) => lines[index] ?? Buffer.alloc(0));
    const paths = indexes.map((index) => ({
      index,
      leaf: sha256(Buffer.concat([Buffer.of(0), lines[index] ?? Buffer.alloc(0)])),
      path: auditPath(index, lines).map((hash) => hash.toString('hex')),
    }));
    const put = folderPut(folder);
    const name = `entries/${String(sequence).padStart(10, '0')}`;
    put(`${name}.ndjson`, Buffer.from(chosen.map((line) => `${line.toString()}\n`).join('')));
    put(`${name}.paths.ndjson`, Buffer.from(paths.map((path) => `${JSON.stringify(path)}\n`).join('')));
    for (const [index, line] of lines.entries()) {
      if (indexes.includes(index)) continue;
      const entry: unknown = JSON.parse(line.toString());
      const { key, log } = Object(entry);
      rmSync(join(folder, String(key)));
      rmSync(join(folder, String(log.key)));
    }
    rmSync(join(folder, digest.entriesKey));
  }

  test('is checked by inclusion paths, offline, whenever it was made', async () => {
    const folder = temporaryFolder();
    const archive = 's3://somewhere/else';
    const maker = await makeLedger(folderPut(folder), { archive, digests: 3, jobs: 7, endMs: 1e12 });
    select(folder, maker, 1, [0, 3, 6]);
    select(folder, maker, 3, [2]);
    const second = maker.digests[1];
    if (second === undefined) throw new Error('there is no digest 2');
    for (const job of maker.jobs.slice(7, 14)) {
      for (const key of [job.recordKey, job.logKey]) rmSync(join(folder, key));
    }
    rmSync(join(folder, second.entriesKey));
    const { lines, summary } = await verifyFolder(folder, { isBundle: true, pinnedKeyId: maker.key.id });
    expect(lines).toEqual(['UNANCHORED ledger/digests/0000000003/digest.json']);
    expect(summary).toMatchObject({ result: 'VALID', entries: 4, objects: 8 });

    const paths = fileAt(folder, 'entries/0000000001.paths.ndjson');
    paths.write(Buffer.from(paths.bytes.toString().replace('"index":3', '"index":4')));
    expect(findingsOf(await verifyFolder(folder, { isBundle: true }))).toContain(
      'MODIFIED entries/0000000001.ndjson',
    );
    paths.restore();
    const [kept] = maker.jobs;
    if (kept === undefined) throw new Error('there are no jobs');
    rmSync(join(folder, kept.logKey));
    folderPut(folder)('v1/records/host=github.com/owner=o/repo=r/1/1/1.json', Buffer.from('{}'));
    expect(findingsOf(await verifyFolder(folder, { isBundle: true }))).toEqual([
      `MISSING ${kept.logKey}`,
      'UNSEALED v1/records/host=github.com/owner=o/repo=r/1/1/1.json',
    ]);
  });
});

test('where there is no ledger, nothing is claimed', async () => {
  await expect(verifyFolder(temporaryFolder())).rejects.toMatchObject({ code: 'not_found' });
  const { folder, maker } = begin();
  await maker.addKey();
  await expect(verifyFolder(folder)).rejects.toMatchObject({ code: 'not_found' });
});
