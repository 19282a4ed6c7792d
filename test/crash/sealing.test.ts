import { expect, test } from 'vitest';
import { onStage, openCrashSite, PREFIX, secondsSince, tellFigures } from '../support/harness/crash-site.ts';
import {
  queueAtRest,
  s3Settings,
  until,
  type EverlogProcess,
} from '../support/harness/everlog-under-test.ts';
import { demandAllSealed, fakeFiles, readLedger, type ReadLedger } from '../support/oracles/ledger-oracle.ts';
import { spawnEverlog } from '../support/processes/processes.ts';
import { addSampleJobs } from '../support/github/sample-jobs.ts';
import type { S3FakeOptions } from '../support/servers/s3-fake/s3-fake.ts';
import { newKeyPem } from '../support/harness/sealing-under-test.ts';

/** The ledger under a service whose processes are killed: every commit becomes one entry, whatever dies in between. */

const DONE_TIMEOUT_MS = 60_000;
const JOBS = 24;
/** Jobs that are recorded and then forgotten by the queue. */
const FORGOTTEN = 4;
/** The record after whose commit the worker is killed. */
const CUT_RECORD = 9;

/** Lets a request take effect and answers it never, so that whoever made it can be killed right after its effect. */
interface Cut {
  readonly around: NonNullable<S3FakeOptions['around']>;
  /** Resolves with the key when the request has taken effect. */
  at(wanted: (method: string, key: string) => boolean): Promise<string>;
}

function openCut(): Cut {
  const waiting: { wanted: (method: string, key: string) => boolean; reached: (key: string) => void }[] = [];
  return {
    async around(request, serve) {
      const index = waiting.findIndex(({ wanted }) => wanted(request.method, request.key));
      const [one] = index < 0 ? [] : waiting.splice(index, 1);
      const answer = await serve();
      if (one === undefined) return answer;
      one.reached(request.key);
      return new Promise(() => undefined);
    },
    at: (wanted) => new Promise((reached) => void waiting.push({ wanted, reached })),
  };
}

test(
  'workers and sealers that are killed, a queue that forgets, and rivals: one entry for every commit, one chain',
  onStage(async (stage) => {
    const startedMs = performance.now();
    const cut = openCut();
    const site = await openCrashSite(stage, { fake: { around: cut.around } });
    const files = fakeFiles(site.fake, site.bucket, `${PREFIX}/`);
    // What a sealer is given: no GitHub, no webhook secret.
    const sealerEnv = {
      ...s3Settings(site.fake, site.bucket, PREFIX),
      EVERLOG_QUEUE_URL: site.redis.url,
      EVERLOG_SIGNING_KEY: newKeyPem(),
      EVERLOG_SEAL_INTERVAL: '1s',
      EVERLOG_ADMIN_LISTEN: '127.0.0.1:0',
    };
    const sealer = (): Promise<EverlogProcess> => stage.everlog(['work', '--only', 'seal'], sealerEnv);
    const worker = (): Promise<EverlogProcess> => stage.everlog(['work', '--only', 'archive'], site.env);
    const command = async (...args: string[]): Promise<{ code: number | null; said: SealSaid }> => {
      const child = spawnEverlog(['seal', '--json', ...args], sealerEnv);
      stage.defer(() => child.kill('SIGKILL'));
      const { code } = await child.exited;
      return { code, said: JSON.parse(child.stdout()) };
    };

    let records = 0;
    const recordCommitted = cut.at(
      (method, key) => method === 'PUT' && key.includes('/v1/records/') && (records += 1) === CUT_RECORD,
    );
    const digestCommitted = cut.at(
      (method, key) => method === 'PUT' && key.endsWith('/0000000002/digest.json'),
    );
    const [serve, firstWorker, firstSealer] = await Promise.all([site.serve(), worker(), sealer()]);
    const jobs = addSampleJobs(site.simulator, JOBS + FORGOTTEN, () => undefined);
    const complete = (ids: readonly number[]): Promise<unknown> =>
      Promise.all(ids.map((id) => site.simulator.deliveries.completeJob(id)));
    await complete(jobs.slice(0, JOBS));
    const cutRecord = (await recordCommitted).slice(PREFIX.length + 1);
    await firstWorker.process.kill('SIGKILL');
    await digestCommitted;
    await firstSealer.process.kill('SIGKILL');
    // Two at once, as where somebody wants no hour without a sealer.
    const [, ...sealers] = await Promise.all([worker(), sealer(), sealer()]);

    expect((await queueAtRest(serve, DONE_TIMEOUT_MS)).failed).toBe(0);
    const all = await until('all is sealed', () => allSealed(), DONE_TIMEOUT_MS);
    expect(all.sealed.filter((key) => key === cutRecord)).toHaveLength(1);
    expect(all.sealed.filter((key) => key.startsWith('v1/records/'))).toHaveLength(JOBS);

    const idle = await until(
      'two intervals in which nothing was committed',
      async () => {
        // A digest stands before its note does.
        const ledger = await readLedger(files).catch(() => null);
        if (ledger === null) return null;
        return ledger.digests.slice(-2).every(({ entries }) => entries.count === 0) ? ledger : null;
      },
      DONE_TIMEOUT_MS,
    );
    expect(idle.digests.length).toBeGreaterThan(3);
    for (const { process: child } of sealers) expect((await child.stop()).code).toBe(0);

    await complete(jobs.slice(JOBS));
    expect((await queueAtRest(serve, DONE_TIMEOUT_MS)).failed).toBe(0);
    await site.forgetQueue();
    const rivals = await Promise.all([command(), command()]);
    expect(rivals.map(({ code }) => code)).toEqual([0, 0]);
    expect(new Set(rivals.map(({ said }) => said.entries))).toEqual(new Set([0, FORGOTTEN]));
    expect(rivals.some(({ said }) => said.listed)).toBe(true);

    const closing = await command('--final', '--yes');
    expect(closing).toMatchObject({ code: 0, said: { outcome: 'sealed', final: true, entries: 0 } });
    expect(await command()).toMatchObject({ code: 1, said: { outcome: 'closed' } });
    expect(await command('--final', '--yes')).toMatchObject({ code: 0, said: { outcome: 'closed' } });
    const ledger = await demandAllSealed(files);
    expect(ledger.digests.at(-1)?.sequence).toBe(closing.said.sequence);
    expect(ledger.digests.at(-1)?.completeness).toMatchObject({ pending: 0, failed: 0, gaps: null });
    tellFigures('killed sealers and workers', {
      'commits sealed': ledger.sealed.length,
      digests: ledger.digests.length,
      s: secondsSince(startedMs),
    });

    async function allSealed(): Promise<ReadLedger | null> {
      return demandAllSealed(files).catch(() => null);
    }
  }),
);

/** What `everlog seal --json` prints. */
interface SealSaid {
  readonly outcome: string;
  readonly sequence: number;
  readonly entries: number;
  readonly final: boolean;
  readonly listed: boolean;
}
