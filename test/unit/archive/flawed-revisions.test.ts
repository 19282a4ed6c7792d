import { describe, expect, test } from 'vitest';
import { commitAbsence, commitRecordRevision, draftFrom } from '../../../src/archive/commit.ts';
import { findJobRecords } from '../../../src/archive/job-records.ts';
import { openKnownNames } from '../../../src/archive/known-names.ts';
import { parseRecord, serializeRecord, type JobRecord } from '../../../src/archive/record.ts';
import { runCat } from '../../../src/cli/read/cat.ts';
import { runLs } from '../../../src/cli/read/ls.ts';
import { giveUp } from '../../../src/errors.ts';
import { JsonText } from '../../../src/json-text.ts';
import { readWhole, type ObjectStore } from '../../../src/store/object-store.ts';
import { makeAbsence, makeArchive, makeRecord, put, storeJob } from '../../support/oracles/archived-jobs.ts';
import { readingDeps } from '../../support/harness/terminal-under-test.ts';

const NOW = new Date('2026-11-28T00:00:00Z');
const STEM = 'v1/records/host=github.com/owner=octo-org/repo=octo-repo/29679449/1/399444496';
const PLACE = { host: 'github.com', owner: 'octo-org', repo: 'Octo-Repo', repositoryId: 1_296_269 };

function standing(store: ObjectStore) {
  return findJobRecords(
    store,
    openKnownNames(store, () => NOW),
    PLACE,
    29_679_449,
  );
}

async function recordAt(store: ObjectStore, key: string): Promise<JobRecord> {
  const found = await readWhole(store, key);
  const parsed = parseRecord(found?.bytes ?? Buffer.alloc(0));
  if (!parsed.ok) throw new Error(parsed.problem);
  return parsed.record;
}

/** What an earlier Everlog wrote as the second revision: it bears the number of the first. */
function misnumbered(record: JobRecord): Buffer {
  return serializeRecord({ ...record, details_source: 'list', completed_at: '2020-01-20T17:44:40Z' });
}

describe('a confirmation that bears the number of the revision before', () => {
  test('is read as what it is, and told', async () => {
    const store = await makeArchive();
    const first = await storeJob(store, makeRecord({ details_source: 'webhook' }), 'a log\n');
    await put(store, `${STEM}.r2.json`, misnumbered(first));
    const ls = readingDeps(store);
    expect(await runLs(ls, { json: true })).toBe(0);
    expect(JSON.parse(ls.stdout.text())).toMatchObject({
      completed_at: '2020-01-20T17:44:40Z',
      flaws: [{ key: `${STEM}.r2.json`, problem: expect.stringContaining('revision 1') }],
    });
    expect(ls.stderr.text()).toContain(`note: ${STEM}.r2.json says that it is revision 1`);
    const cat = readingDeps(store);
    expect(await runCat(cat, '399444496', {})).toBe(0);
    expect(cat.stdout.text()).toBe('a log\n');
  });

  test('is followed by the third', async () => {
    const store = await makeArchive();
    const first = await storeJob(store, makeRecord({ details_source: 'webhook' }), 'a log\n');
    await put(store, `${STEM}.r2.json`, misnumbered(first));
    const stored = (await standing(store)).get(399_444_496);
    if (stored === undefined || stored.record === null) throw new Error('not found');
    expect(stored.revision).toBe(2);
    await commitRecordRevision(store, stored, draftFrom(stored.record));
    expect(await recordAt(store, `${STEM}.r3.json`)).toMatchObject({
      revision: 3,
      supersedes: `${STEM}.r2.json`,
      log: { sha256: first.log?.sha256 },
    });
  });

  test('is not what a copy of the first revision is', async () => {
    const store = await makeArchive();
    const first = await storeJob(store, makeRecord({ details_source: 'webhook' }), 'a log\n');
    await put(store, `${STEM}.r2.json`, serializeRecord(first));
    const ls = readingDeps(store);
    expect(await runLs(ls, { json: true })).toBe(4);
    expect(ls.stderr.text()).toContain('says that it is revision 1; revision 1 was read in its place');
  });
});

describe('a revision that is no record', () => {
  test('does not hide the one before it, and is a finding', async () => {
    const store = await makeArchive();
    await storeJob(store, makeRecord(), 'a log\n');
    await put(store, `${STEM}.r2.json`, Buffer.from('garbage'));
    const ls = readingDeps(store);
    expect(await runLs(ls, { json: true })).toBe(4);
    expect(JSON.parse(ls.stdout.text())).toMatchObject({ outcome: 'archived', flaws: [{}] });
    const cat = readingDeps(store);
    expect(await runCat(cat, '399444496', {})).toBe(4);
    expect(cat.stdout.text()).toBe('a log\n');
    expect(cat.stderr.text()).toContain('revision 1 was read in its place');
  });

  test('does not stop its run, and is followed by the next', async () => {
    const store = await makeArchive();
    await put(store, `${STEM}.json`, Buffer.from('garbage'));
    await storeJob(store, makeRecord({ job_id: 5 }), 'another\n');
    const records = await standing(store);
    expect(records.get(5)?.record?.outcome).toBe('archived');
    const unreadable = records.get(399_444_496);
    if (unreadable === undefined) throw new Error('not found');
    expect(unreadable.record).toBeNull();
    const draft = draftFrom(makeAbsence('not_produced'));
    const committed = await commitAbsence(store, {
      address: unreadable.address,
      dt: '2020-01-20',
      draft,
      prior: unreadable,
    });
    expect(committed).toMatchObject({ key: `${STEM}.r2.json`, written: true });
    expect(await recordAt(store, `${STEM}.r2.json`)).toMatchObject({ supersedes: `${STEM}.json` });
  });
});

test('a record keeps the text of its job through every revision, and `ls --json` prints it', async () => {
  const store = await makeArchive();
  const job = JsonText.read(
    '{ "n":9007199254740993,"e":1e400,"__proto__":{"a":1},"s":"\\ud800\\u002f" }',
  )?.json;
  if (job === undefined) throw new Error('no JSON');
  await storeJob(store, makeRecord({ job }), 'a log\n');
  const stored = (await standing(store)).get(399_444_496);
  if (stored === undefined || stored.record === null) throw new Error('not found');
  await commitRecordRevision(store, stored, draftFrom(stored.record));
  expect((await recordAt(store, `${STEM}.r2.json`)).job.text).toBe(job.text);
  const ls = readingDeps(store);
  await runLs(ls, { json: true });
  expect(ls.stdout.text()).toContain(`"job":${job.text},`);
  const fields = readingDeps(store);
  await runLs(fields, { json: 'job_id,job.n,job.e' });
  expect(fields.stdout.text()).toBe('{"job_id":399444496,"job.n":9007199254740993,"job.e":1e400}\n');
});

test('nothing follows a record that the store does not give: it may say that the job was erased', async () => {
  const store = await makeArchive();
  const erased = makeAbsence('erased', {});
  await put(store, `${STEM}.json`, serializeRecord(erased));
  const read = store.read.bind(store);
  store.read = (key, versionId) =>
    key.startsWith('v1/records/') ? Promise.reject(giveUp('store_refused', 'not now')) : read(key, versionId);
  const address = { ...PLACE, repo: 'octo-repo', runId: 29_679_449, runAttempt: 1, jobId: 399_444_496 };
  const draft = draftFrom(makeAbsence('unavailable', {}));
  const commit = commitAbsence(store, { address, dt: '2020-01-20', draft, prior: null });
  await expect(commit).rejects.toThrow('not now');
  expect(await store.head(`${STEM}.r2.json`)).toBeNull();
});
