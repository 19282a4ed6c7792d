import type { Command } from 'commander';
import { demoScenario } from '../../simulator/scenario.ts';
import { playScenario } from './demo-deliveries.ts';
import { excerptOf } from './demo-excerpt.ts';
import { compareWithSource } from './demo-findings.ts';
import { sealAndVerify } from './demo-ledger.ts';
import { openDemoProgress } from './demo-progress.ts';
import { demoReportJson, formatDemoReport, type DemoReport } from './demo-report.ts';
import {
  makeDemoFolder,
  removeDemoFolder,
  startDemoService,
  tidyDemoFolder,
  type DemoFolder,
  type DemoService,
} from './demo-service.ts';
import { EXIT } from '../exit.ts';
import { counted, formatBytes } from '../terminal/format.ts';
import { stopSignal } from '../run-service.ts';
import { terminalOf } from '../terminal/standard-terminal.ts';
import { paint } from '../terminal/table.ts';
import { openOutput } from '../terminal/terminal.ts';
import { tell } from '../terminal/print.ts';

/** `everlog demo`: the whole service against a simulated GitHub, on this machine alone. */
export function registerDemo(program: Command, done: (exit: number) => void): void {
  program
    .command('demo')
    .description('the whole service against a simulated GitHub: no account, server, Docker or network')
    .option('--exit', 'check the archive and end, with 0 only if all is as expected; leave nothing behind')
    .option('--json', 'print one JSON document with the results')
    .addHelpText(
      'after',
      '\nWithout --exit it keeps serving, with its files below ./data/demo. Settings of your own (EVERLOG_…) play no part.',
    )
    .action(async (options: DemoOptions) => done(await runDemo(options)));
}

interface DemoOptions {
  readonly exit?: boolean;
  readonly json?: boolean;
}

/** The service's own default. `verify` expects a digest so often. */
const SEAL_INTERVAL_MS = 3_600_000;

/** A folder to be removed is kept when it can show what went wrong. */
type Ending = 'good' | 'bad' | 'interrupted';

async function runDemo(options: DemoOptions): Promise<number> {
  const exits = options.exit === true;
  const startedMs = performance.now();
  // A reader that goes away (`| head`) ends its reading, not the demo.
  const [out, progress] = [openOutput(process.stdout), openOutput(process.stderr)];
  const stopped = stopSignal();
  const folder = await makeDemoFolder(exits ? 'temporary' : 'lasting');
  let ending: Ending = 'bad';
  let service: DemoService | null = null;
  try {
    say('Everlog’s demo: a simulated GitHub and the real service, on this machine alone');
    say(`  folder   ${folder.path}`);
    service = await startDemoService(folder, !exits);
    const report = await Promise.race([
      playAndCompare(service, folder, exits, startedMs),
      service.failed,
      stopped.then(() => null),
    ]);
    if (report === null) ending = 'interrupted';
    else {
      ending = report.findings.problems.length === 0 ? 'good' : 'bad';
      await out.write(answerText(report, options.json === true));
      if (!exits) await keepServing(service, stopped);
    }
  } finally {
    await service?.stop();
    if (!exits) await tidyDemoFolder(folder);
    else if (ending !== 'bad') await removeDemoFolder(folder);
    else say(`The demo’s files stay for you to look at: ${folder.path}`);
    out.close();
    progress.close();
  }
  return ending === 'good' ? EXIT.ok : ending === 'bad' ? EXIT.findings : EXIT.interrupted;
}

/** Seals as `everlog up` does by its schedules, and for the last time at the end, when the demo's key goes. */
async function keepServing(service: DemoService, stopped: Promise<unknown>): Promise<void> {
  // What fails to be sealed now is sealed with the next digest.
  const seal = (final: boolean): Promise<unknown> => service.seal({ final }).catch(() => undefined);
  const sealing = setInterval(() => void seal(false), SEAL_INTERVAL_MS);
  try {
    await Promise.race([stopped, service.failed]);
  } finally {
    clearInterval(sealing);
  }
  await seal(true);
}

/** What the demo does with the running service, step by step. */
async function playAndCompare(
  service: DemoService,
  folder: DemoFolder,
  exits: boolean,
  startedMs: number,
): Promise<DemoReport> {
  const { simulator, store, webhooks, admin, web } = service;
  const terminal = terminalOf(process.stderr);
  const steps = demoScenario(simulator);
  say(`  GitHub   ${simulator.apiUrl}`);
  say(`  Everlog  ${webhooks}`);
  say(
    `\n${paint(`${steps.length} deliveries about jobs, signed as GitHub signs them`, 'title', terminal)}\n`,
  );
  const played = await playScenario(
    simulator,
    store,
    steps,
    openDemoProgress(process.stderr, terminal, steps),
  );
  const { sent, queued } = played.runEvents;
  say(`\nBetween them ${sent} deliveries about the jobs’ runs: ${queued} queued.`);
  const findings = await compareWithSource(store, simulator.world, played);
  const { logs, bytes } = findings.compared;
  say(`Compared ${counted(logs, 'log')}, ${formatBytes(bytes)}, with GitHub’s.`);
  const ledger = await sealAndVerify(service.seal, store);
  say(
    `Sealed ${counted(ledger.entries, 'object')} in digest ${ledger.sequence}, and verified the archive.\n`,
  );
  return {
    findings: { ...findings, problems: [...findings.problems, ...ledger.problems] },
    ledger,
    folder,
    excerpt: await excerptOf(store, findings.jobs, terminalOf(process.stdout).color),
    serving: exits ? null : { webhooks, admin, web, github: simulator.apiUrl },
    elapsedMs: performance.now() - startedMs,
  };
}

function answerText(report: DemoReport, json: boolean): string {
  return json
    ? `${JSON.stringify(demoReportJson(report))}\n`
    : formatDemoReport(report, terminalOf(process.stdout));
}

/** Progress, which is not part of the answer. */
function say(line: string): void {
  tell(`${line}\n`);
}
