import { randomFillSync } from 'node:crypto';
import { readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import {
  expectArchived,
  folderArchive,
  placesOfJob,
  readRecord,
  tallyOf,
} from '../support/oracles/archive-oracle.ts';
import {
  onStage,
  SIDE_BY_SIDE,
  openCrashSite,
  PREFIX,
  secondsSince,
  tellFigures,
} from '../support/harness/crash-site.ts';
import { each, queueAtRest, until } from '../support/harness/everlog-under-test.ts';
import type { S3FakeOptions } from '../support/servers/s3-fake/s3-fake.ts';
import { addSampleJobs, sampleLog } from '../support/github/sample-jobs.ts';

/** What a killed process leaves behind: it is cleaned up, or it is evidence and is taken up. */
const DONE_TIMEOUT_MS = 90_000;
/** Large enough to be caught while it is written. */
const SLOW_LOG = randomFillSync(Buffer.allocUnsafe(48 * 1024 * 1024));
const HOURS_AGO = new Date(Date.now() - 2 * 3_600_000);

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** What GitHub has to say of a job whose log stands in the archive without a record. */
const FATES = ['still served', 'gone', 'expired', 'served in other bytes', 'run deleted'] as const;

describe('what a killed process leaves', SIDE_BY_SIDE, () => {
  test(
    'files of a killed writer are removed from the folder archive, and the spool keeps none',
    onStage(async (stage) => {
      const startedMs = performance.now();
      const folder = join(stage.folder(), 'archive');
      const spool = stage.folder();
      const env = { EVERLOG_ARCHIVE_URL: folder, EVERLOG_SPOOL_DIR: spool };
      const site = await openCrashSite(stage, { env });
      const [serve, worker] = await Promise.all([site.serve(), site.work()]);
      const [jobId = 0] = addSampleJobs(site.simulator, 1, () => SLOW_LOG);
      await site.simulator.deliveries.completeJob(jobId);
      const unfinished = join(folder, '.tmp');
      const [left = ''] = await until(
        'a log is being written',
        () => {
          const large = filesIn(unfinished).filter(
            (name) => statSync(join(unfinished, name)).size > 1024 * 1024,
          );
          return large.length > 0 ? large : null;
        },
        DONE_TIMEOUT_MS,
      );
      await worker.process.kill('SIGKILL');
      expect(filesIn(unfinished)).toEqual([left]);
      // Its bytes had no name to be left under.
      expect(filesIn(spool)).toEqual([]);
      // A process that is killed between making a spool file and taking its name away leaves it empty.
      const emptied = join(spool, 'everlog-spool-5f0c');
      writeFileSync(emptied, '');
      // What was written to a moment ago may be somebody's; hours later it is nobody's.
      for (const path of [join(unfinished, left), emptied]) utimesSync(path, HOURS_AGO, HOURS_AGO);
      await site.work();
      expect((await queueAtRest(serve, DONE_TIMEOUT_MS)).failed).toBe(0);
      await expectArchived(folderArchive(folder), site.simulator, jobId);
      expect(filesIn(unfinished)).toEqual([]);
      expect(filesIn(spool)).toEqual([]);
      tellFigures('leftover files', {
        'temp file removed': 1,
        'spool file removed': 1,
        s: secondsSince(startedMs),
      });
    }),
  );

  test(
    'a log that a crash left without its record is adopted, with its hash computed anew',
    onStage(async (stage) => {
      const startedMs = performance.now();
      let holding = true;
      const holdAfterLog: NonNullable<S3FakeOptions['around']> = async (request, serve) => {
        const answer = await serve();
        const isLog = request.method === 'PUT' && request.key.includes('/v1/logs/');
        return holding && isLog ? new Promise(() => undefined) : answer;
      };
      const site = await openCrashSite(stage, { fake: { around: holdAfterLog } });
      const { simulator, archive } = site;
      const { world } = simulator;
      const [serve, worker] = await Promise.all([site.serve(), site.work()]);
      const logs = FATES.map((_, index) => sampleLog(3_000, index));
      const jobs = addSampleJobs(simulator, FATES.length, (index) => logs[index] ?? Buffer.alloc(0));
      const places = jobs.map((id) => placesOfJob(simulator, id));
      await each(jobs, FATES.length, (id) => simulator.deliveries.completeJob(id));
      const orphans = async (): Promise<number> =>
        (await archive.versions()).filter((key) => key.startsWith('v1/logs/')).length;
      await until('every log is stored', async () => (await orphans()) === jobs.length, DONE_TIMEOUT_MS);
      await worker.process.kill('SIGKILL');
      holding = false;
      expect((await archive.versions()).filter((key) => key.startsWith('v1/records/'))).toEqual([]);

      const [, gone = 0, expired = 0, changed = 0, deleted = 0] = jobs;
      world.setLog(gone, null);
      world.job(expired).logState = 'expired';
      const otherBytes = sampleLog(4_000, 99);
      world.setLog(changed, otherBytes);
      world.deleteRun(world.job(deleted).facts.run_id);
      const restartedMs = performance.now();
      await site.work();
      expect((await queueAtRest(serve, DONE_TIMEOUT_MS)).failed).toBe(0);
      const adoptedAfter = secondsSince(restartedMs);

      for (const [index, fate] of FATES.entries()) {
        const place = places[index];
        if (place === undefined) throw new Error(`no place for ${fate}`);
        const record = await readRecord(archive, place.record);
        const tally = tallyOf(logs[index] ?? Buffer.alloc(0));
        const source = fate === 'still served' ? 'webhook' : 'adopted';
        expect({ fate, record }).toMatchObject({
          fate,
          record: {
            outcome: 'archived',
            revision: 1,
            absence: null,
            log: { ...tally, key: place.log },
            fetch: { source },
          },
        });
        expect(gunzipSync((await archive.read(place.log)).bytes).equals(logs[index] ?? Buffer.alloc(0))).toBe(
          true,
        );
      }
      // What GitHub serves now is the next finding, beside the first.
      const later = places[FATES.indexOf('served in other bytes')];
      const second = await readRecord(archive, (later?.record ?? '').replace('.json', '.r2.json'));
      const secondLog = (later?.log ?? '').replace('.log.gz', '.r2.log.gz');
      expect(second).toMatchObject({
        outcome: 'archived',
        revision: 2,
        supersedes: later?.record,
        log: { ...tallyOf(otherBytes), key: secondLog },
        fetch: { source: 'webhook' },
      });
      const stored = site.fake.objects(site.bucket).filter(({ key }) => key.startsWith(`${PREFIX}/v1/logs/`));
      expect(stored).toHaveLength(jobs.length + 1);
      tellFigures('orphaned logs', {
        'logs without a record': jobs.length,
        's until adopted': adoptedAfter,
        s: secondsSince(startedMs),
      });
    }),
  );
});
