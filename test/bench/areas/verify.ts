import { execFile } from 'node:child_process';
import { performance } from 'node:perf_hooks';
import { promisify } from 'node:util';
import { defaultSteps } from '../../../src/simulator/logs/default-job.ts';
import { readWholeLog } from '../../../src/simulator/logs/log-source.ts';
import { generatedLog } from '../../../src/simulator/logs/log-text.ts';
import { folderPut, LedgerMaker } from '../../support/oracles/ledger-maker.ts';
import { spawnEverlog } from '../../support/processes/processes.ts';
import { compared, type Area } from '../findings.ts';
import { interleaved, type Extent } from '../rounds.ts';
import { openStage } from '../stage.ts';

/** How fast `everlog verify` reads logs, beside tools that only decompress and hash them. */

const run = promisify(execFile);
const LOG_BYTES = 5_000_000;
const MEGABYTE = 1_000_000;

export async function verify(extent: Extent): Promise<Area> {
  const stage = openStage();
  try {
    const folder = stage.folder();
    const logs = extent.scaled(30, 10);
    await archiveOf(folder, logs);
    const megabytes = (logs * LOG_BYTES) / MEGABYTE;
    const of = await interleaved(extent.rounds, {
      everlog: async () => megabytes / (await verifying(folder)),
      tools: async () => megabytes / (await hashing(folder, '1')),
      toolsTwice: async () => megabytes / (await hashing(folder, '2')),
    });
    const shared = { unit: 'MB/s', everlog: of('everlog'), against: 'limit' } as const;
    const what = `verify of ${logs} logs of ${LOG_BYTES / MEGABYTE} MB`;
    return {
      name: 'verify',
      title: 'Verify: a folder archive, every byte, the start of the process counted',
      findings: [
        compared({ ...shared, what, name: 'gzip -dc, sha256sum', theirs: of('tools') }),
        compared({ ...shared, what, name: 'the same, two at once', theirs: of('toolsTwice') }),
      ],
      notes: ['Megabytes of logs as GitHub served them.'],
    };
  } finally {
    await stage.close();
  }
}

async function archiveOf(folder: string, logs: number): Promise<void> {
  const maker = new LedgerMaker(folderPut(folder), { archive: `file:${folder}`, startMs: Date.now() });
  const [startMs, endMs] = [Date.parse('2026-11-20T10:00:00Z'), Date.parse('2026-11-20T11:00:00Z')];
  const text = { jobName: 'build', repository: 'octo-org/octo-repo', bytes: LOG_BYTES };
  for (let seed = 1; seed <= logs; seed += 1) {
    const steps = defaultSteps(startMs, endMs, 'success');
    await maker.addJob(readWholeLog(generatedLog({ ...text, seed, steps })));
  }
  await maker.seal({ final: true });
}

async function verifying(folder: string): Promise<number> {
  const startMs = performance.now();
  const child = spawnEverlog(['verify', '--archive', `file:${folder}`, '--json'], {});
  await child.exited;
  const summary = child.stdout().trimEnd().split('\n').at(-1) ?? '';
  // No anchor vouches for its end, which is all that there is to find.
  if (!summary.includes('"UNANCHORED":1') || !summary.includes('"findings":0'))
    throw new Error(`a sound archive was not found sound: ${child.stdout().slice(0, 1_500)}`);
  return (performance.now() - startMs) / 1000;
}

/** Both hashes that a record names, of every log, by stock tools. */
async function hashing(folder: string, atOnce: string): Promise<number> {
  const startMs = performance.now();
  const script = 'find "$0" -name "*.log.gz" -print0 | xargs -0 -n1 -P"$1" sh -c "$2"';
  const each = 'sha256sum <"$0" && gzip -dc <"$0" | sha256sum';
  await run('sh', ['-c', script, folder, atOnce, each]);
  return (performance.now() - startMs) / 1000;
}
