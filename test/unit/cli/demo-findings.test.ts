import { expect, test } from 'vitest';
import type { ObjectStore } from '../../../src/store/object-store.ts';
import type { JobRecord } from '../../../src/archive/record.ts';
import type { DemoAnswer, SeenRecord } from '../../../src/cli/demo/demo-deliveries.ts';
import { compareWithSource, type DemoFindings } from '../../../src/cli/demo/demo-findings.ts';
import type { ExpectedEnding } from '../../../src/simulator/scenario.ts';
import { World } from '../../../src/simulator/world.ts';
import {
  makeAbsence,
  makeArchive,
  makeRecord,
  storeJob,
  storeRecord,
} from '../../support/oracles/archived-jobs.ts';

const LOG = '2026-09-20T02:19:47.8429278Z one\n2026-09-20T02:19:48.8429278Z two\n';
const QUEUED: DemoAnswer = { status: 202, outcome: 'queued' };
const REFUSED: DemoAnswer = { status: 401, outcome: 'bad_signature' };
const ONE_SECOND_MS = 1_000;

interface Stage {
  readonly world: World;
  readonly store: ObjectStore;
  readonly jobId: number;
}

/** A simulated GitHub with one job and its log, and an empty archive. */
async function openStage(): Promise<Stage> {
  const world = new World(() => Date.parse('2026-09-20T03:00:00Z'), 1);
  const installationId = world.addInstallation({ login: 'octo-org' }).id;
  const repositoryId = world.addRepository({ name: 'Octo-Repo', installationId }).id;
  const runId = world.run(world.addRun({ repositoryId })).id;
  const jobId = world.addJob({ runId, log: LOG }).facts.id;
  return { world, store: await makeArchive(), jobId };
}

/** What the demo says when one delivery about the job was sent and `record` was seen in the archive. */
async function findingsOf(
  stage: Stage,
  expect: ExpectedEnding,
  answer: DemoAnswer,
  record: JobRecord | null,
  jobId = stage.jobId,
): Promise<DemoFindings> {
  const seen: [number, SeenRecord][] =
    record === null ? [] : [[jobId, { record, key: 'a key', tookMs: ONE_SECOND_MS }]];
  const send = () => Promise.resolve({ status: answer.status, body: '', guid: '' });
  return compareWithSource(stage.store, stage.world, {
    steps: [{ title: 'a step', repository: 'octo-org/Octo-Repo', jobId, expect, send }],
    answers: [answer],
    records: new Map(seen),
    runEvents: { sent: 2, queued: 2 },
  });
}

test('a log that is the source’s to the byte is as expected', async () => {
  const stage = await openStage();
  const record = await storeJob(stage.store, makeRecord({ job_id: stage.jobId }), LOG);
  const findings = await findingsOf(stage, 'archived', QUEUED, record);
  expect(findings.problems).toEqual([]);
  expect(findings.compared).toEqual({ logs: 1, bytes: LOG.length });
  expect(findings.objects).toEqual({ records: 1, logs: 1 });
  expect(findings.jobs[0]?.found).toBe('archived');
});

test('a log that agrees with its record but not with the source is a problem', async () => {
  const stage = await openStage();
  const record = await storeJob(stage.store, makeRecord({ job_id: stage.jobId }), LOG.replace('one', 'own'));
  const { problems } = await findingsOf(stage, 'archived', QUEUED, record);
  expect(problems).toHaveLength(1);
  expect(problems[0]).toMatch(
    /^a step \(job \d+\): the log has SHA-256 [0-9a-f]{64}, at GitHub [0-9a-f]{64}$/,
  );
});

test('a log that is not what its record says is a problem, not a failure of the demo', async () => {
  const stage = await openStage();
  const record = await storeJob(stage.store, makeRecord({ job_id: stage.jobId }), LOG);
  if (record.log === null) throw new Error('a stored job has a log');
  const other = { ...record, log: { ...record.log, bytes: record.log.bytes + 1 } };
  const { problems } = await findingsOf(stage, 'archived', QUEUED, other);
  expect(problems.join()).toContain('recorded are');
});

test('a job that the archive never accounted for is a problem', async () => {
  const stage = await openStage();
  const { problems, jobs } = await findingsOf(stage, 'archived', QUEUED, null);
  expect(jobs[0]?.found).toBe('no record');
  expect(problems.join()).toContain('expected archived, found no record');
});

test('a record of another outcome is a problem', async () => {
  const stage = await openStage();
  const record = makeAbsence('unavailable', { job_id: stage.jobId });
  await storeRecord(stage.store, record);
  const { problems } = await findingsOf(stage, 'archived', QUEUED, record);
  expect(problems.join()).toContain('expected archived, found unavailable');
});

test('a second object about a job is a problem', async () => {
  const stage = await openStage();
  const record = await storeJob(stage.store, makeRecord({ job_id: stage.jobId }), LOG);
  await storeRecord(stage.store, { ...record, revision: 2 });
  const { problems } = await findingsOf(stage, 'archived', QUEUED, record);
  expect(problems.join()).toContain('there are 2 record objects');
});

test('a redelivery that is taken for news is a problem', async () => {
  const stage = await openStage();
  const { problems } = await findingsOf(stage, 'duplicate', QUEUED, null);
  expect(problems.join()).toContain('expected duplicate, found queued');
});

test('a forged delivery that is refused leaves no problem, and one that left a record does', async () => {
  const stage = await openStage();
  const forgedId = stage.jobId + 1;
  expect((await findingsOf(stage, 'refused', REFUSED, null, forgedId)).problems).toEqual([]);
  expect((await findingsOf(stage, 'refused', QUEUED, null, forgedId)).problems).toHaveLength(2);
  await storeRecord(stage.store, makeRecord({ job_id: forgedId }));
  const { problems } = await findingsOf(stage, 'refused', REFUSED, null, forgedId);
  expect(problems.join()).toContain('expected refused, found recorded');
  expect(problems.join()).toContain('belongs to no job that GitHub has');
});
