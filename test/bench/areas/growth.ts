import { generateKeyPairSync } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { request } from 'undici';
import { folderPut, LedgerMaker } from '../../support/oracles/ledger-maker.ts';
import { spawnEverlog } from '../../support/processes/processes.ts';
import { exponent } from '../arithmetic.ts';
import { jobObject, OWNER, REPOSITORY } from './deliveries.ts';
import { atMost, plain, type Area, type Finding } from '../findings.ts';
import { JOBS_PER_RUN } from './github-runs.ts';
import type { Extent } from '../rounds.ts';
import { everlogSettings, hostsFile, openStage, textOf, type Stage } from '../stage.ts';

/** How the time and memory of what looks at a whole archive grow with it. */

const SIZES_FULL = [1_000, 10_000, 100_000];
const SIZES_QUICK = [400, 3_200];
const EXPONENT_MAX = 1.05;
const MEGABYTE = 1_000_000;
const POLL_MS = 20;

/** What a record says beyond what a ledger needs of it. */
const DETAILS = {
  workflow_name: 'CI',
  head_branch: 'main',
  head_sha: 'f83a356604ae3c5d03e1b46ef4d1ca77d64a90b0',
  job_name: 'build',
  conclusion: 'success',
  runner_name: 'GitHub Actions 1',
  labels: ['ubuntu-latest'],
  sender: 'octocat',
  deployment: null,
  created_at: '2026-11-20T10:00:00Z',
  started_at: '2026-11-20T10:00:01Z',
  completed_at: '2026-11-20T10:01:00Z',
  job: jobObject(1),
  details_source: 'api',
  job_sha256: null,
  fetch: {
    source: 'webhook',
    delivery_ids: ['1'],
    attempts: 1,
    log_host: '127.0.0.1',
    http_status: 200,
    etag: null,
    content_md5: null,
    request_id: null,
    possibly_truncated: false,
    requested_at: '2026-11-20T10:01:02Z',
    finished_at: '2026-11-20T10:01:02Z',
  },
  absence: null,
  recorded_at: '2026-11-20T10:01:03Z',
  archiver: { name: 'everlog', version: '0' },
};

interface Cost {
  readonly seconds: number;
  readonly megabytes: number;
}

type Command = 'seal' | 'verify' | 'ls' | 'reconcile';

export async function growth(extent: Extent): Promise<Area> {
  const stage = openStage();
  try {
    const sizes = extent.quick ? SIZES_QUICK : SIZES_FULL;
    const origin = textOf(await stage.script('driving', 'github-process.ts'), 'origin');
    const costs = new Map<Command, Cost[]>();
    for (const size of sizes) {
      for (const [command, cost] of await costsAt(stage, origin, size)) {
        costs.set(command, [...(costs.get(command) ?? []), cost]);
      }
    }
    return {
      name: 'growth',
      title: `Growth: folder archives of ${sizes.map((size) => size.toLocaleString('en-GB')).join(', ')} jobs`,
      findings: [...costs].flatMap(([command, found]) => findingsOf(command, sizes, found)),
      notes: [
        'The exponent is that of time over the start of the process; 1 means that twice the jobs take twice as long.',
        'A job is two objects: its log and its record.',
        `Reconcile compares runs of ${JOBS_PER_RUN} jobs with a GitHub on this machine, and queues nothing.`,
      ],
    };
  } finally {
    await stage.close();
  }
}

function findingsOf(command: Command, sizes: readonly number[], costs: readonly Cost[]): Finding[] {
  const points = sizes.map((size, index) => ({ size, cost: Math.max(costs[index]?.seconds ?? NaN, 0.001) }));
  const [largest, jobs] = [costs.at(-1), sizes.at(-1)];
  if (largest === undefined || jobs === undefined) throw new Error('nothing was measured');
  return [
    plain(`${command}, exponent of its time`, '', [exponent(points)], atMost(EXPONENT_MAX)),
    plain(`${command} of the largest`, 's', [largest.seconds]),
    plain(`${command} of the largest`, 'jobs/s', [jobs / largest.seconds]),
    plain(`${command} of the largest, peak resident memory`, 'MB', [largest.megabytes]),
  ];
}

async function costsAt(stage: Stage, origin: string, jobs: number): Promise<[Command, Cost][]> {
  const folder = stage.folder();
  const maker = new LedgerMaker(folderPut(folder), {
    archive: `file:${folder}`,
    startMs: Date.now(),
    host: '127.0.0.1',
  });
  for (let job = 1; job <= jobs; job += 1) {
    await maker.addJob(undefined, { ...DETAILS, job_id: job, run_id: Math.ceil(job / JOBS_PER_RUN) });
  }
  await request(`${origin}/_runs?${jobs / JOBS_PER_RUN}`, { method: 'PUT' });
  const settings = { EVERLOG_ARCHIVE_URL: `file:${folder}` };
  const repository = `${OWNER}/${REPOSITORY}`;
  return [
    ['seal', await sealing(stage, settings)],
    ['verify', await command(['verify', '--json'], settings)],
    ['ls', await command(['ls', '--json'], settings)],
    [
      'reconcile',
      await command(['reconcile', '--dry-run', '--json', '--repo', repository, '--since', '2026-06-01'], {
        ...settings,
        EVERLOG_CONFIG: hostsFile(stage.folder(), origin),
      }),
    ],
  ];
}

/** Time and memory of a command, without what it takes to start it for its help. */
async function command(args: readonly string[], env: Readonly<Record<string, string>>): Promise<Cost> {
  const startUp = await timed([...args.slice(0, 1), '--help'], {});
  const whole = await timed(args, env);
  return { seconds: Math.max(whole.seconds - startUp.seconds, 0), megabytes: whole.megabytes };
}

async function timed(args: readonly string[], env: Readonly<Record<string, string>>): Promise<Cost> {
  const startMs = performance.now();
  const child = spawnEverlog(args, env);
  let peakKb = 0;
  const watch = setInterval(() => {
    try {
      peakKb = child.peakRssKb();
    } catch {
      // It has ended: what was seen last is what there is.
    }
  }, POLL_MS);
  const { code } = await child.exited;
  clearInterval(watch);
  if (code !== 0) {
    // The archive is sound: what is found in it is a mistake, and stands first.
    const said = `${child.stdout().slice(0, 1_500)}${child.stderr().slice(-500)}`;
    throw new Error(`everlog ${args.join(' ')} ended with ${code}: ${said}`);
  }
  return { seconds: (performance.now() - startMs) / 1000, megabytes: (peakKb * 1024) / MEGABYTE };
}

/** The first digest of an archive: its sealer, a process of its own, reads all that was committed. */
async function sealing(stage: Stage, archive: Readonly<Record<string, string>>): Promise<Cost> {
  const { privateKey } = generateKeyPairSync('ed25519');
  const settings = {
    ...everlogSettings(await stage.redis()),
    ...archive,
    EVERLOG_SIGNING_KEY: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
  const sealer = await stage.everlog('anywhere', ['work', '--only', 'seal'], settings);
  const { seconds } = await command(['seal', '--json'], settings);
  const megabytes = (sealer.process.peakRssKb() * 1024) / MEGABYTE;
  await sealer.process.stop();
  return { seconds, megabytes };
}
