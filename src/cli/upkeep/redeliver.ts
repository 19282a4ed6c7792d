import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { destination } from 'pino';
import { openRedelivering, type RedeliveryReport, type Redelivering } from '../../service/redelivering.ts';
import { loadConfig, type Config } from '../../config.ts';
import { reachService } from '../../control/socket-client.ts';
import { giveUp } from '../../errors.ts';
import { openLog } from '../../logger.ts';
import { EXIT } from '../exit.ts';
import { openCommandQueue } from '../queue-work.ts';
import { standardTerminal } from '../terminal/standard-terminal.ts';
import { formatTable, type Cell } from '../terminal/table.ts';
import { print, tell } from '../terminal/print.ts';

/** `everlog redeliver`: asks GitHub to send failed deliveries again, at once. */

/** A pass of the service that is under way takes minutes at most; it is waited for this long. */
const PASS_WAIT_MS_MAX = 15 * 60_000;
const PASS_LOOK_MS = 500;

export function registerRedeliver(program: Command, done: (exit: number) => void): void {
  program
    .command('redeliver')
    .description('ask GitHub to send again what no receiver has accepted')
    .option('--json', 'one JSON document')
    .action(async (options: { json?: boolean }) => done(await runRedeliver(options.json === true)));
}

async function runRedeliver(json: boolean): Promise<number> {
  const config = loadConfig({ github: true });
  requireApp(config);
  await warnOfNobody(config);
  const queue = await openCommandQueue({ mayBegin: true });
  const log = openLog('error', destination({ fd: 2, sync: true }));
  const redelivering = openRedelivering(
    config,
    { notes: queue.control.notes, rateLimiter: queue.rateLimiter },
    log,
  );
  try {
    const reports: RedeliveryReport[] = [];
    for (const host of redelivering.hosts) reports.push(await passOver(redelivering, host));
    if (json) print(`${JSON.stringify(redeliveryDocument(reports))}\n`);
    else printReports(reports);
    const lost = reports.flatMap(({ final, exhausted }) => [...final, ...exhausted]);
    return lost.length > 0 ? EXIT.findings : EXIT.ok;
  } finally {
    await redelivering.close();
    await queue.close();
  }
}

/** GitHub lists deliveries to the App alone. */
function requireApp(config: Config): void {
  const withToken = config.hosts.filter(({ credentials }) => credentials?.kind === 'token');
  const names = withToken.map(({ github }) => github.name).join(', ');
  if (withToken.length === config.hosts.length) {
    throw giveUp(
      'config_invalid',
      `redeliver needs App credentials: GitHub shows deliveries to the App alone, and ${names} is reached with a token. Set EVERLOG_GITHUB_APP_ID and EVERLOG_GITHUB_PRIVATE_KEY.`,
    );
  }
  if (withToken.length > 0) tell(`everlog: passed over, as they are reached with a token: ${names}\n`);
}

/** With an embedded queue the service is also the receiver. */
async function warnOfNobody(config: Config): Promise<void> {
  if (config.queue.kind !== 'embedded') return;
  const service = await reachService(config.queue.folder);
  if (service === null)
    tell(
      'everlog: no service runs on this queue: start `everlog up` first, or what GitHub sends again finds no receiver\n',
    );
  else await service.close();
}

async function passOver(redelivering: Redelivering, host: string): Promise<RedeliveryReport> {
  const holder = `command-${randomUUID()}`;
  const deadlineMs = Date.now() + PASS_WAIT_MS_MAX;
  for (let told = false; ; told = true) {
    const report = await redelivering.pass(host, holder);
    if (report !== null) return report;
    if (Date.now() > deadlineMs)
      throw giveUp(
        'queue_unavailable',
        `${host}: another pass over its deliveries does not end: try again later`,
      );
    if (!told) tell(`everlog: ${host}: waiting for another pass over its deliveries to end\n`);
    await sleep(PASS_LOOK_MS);
  }
}

type Failed = RedeliveryReport['final'][number];

function redeliveryDocument(reports: readonly RedeliveryReport[]): Record<string, unknown> {
  const all = (list: 'redelivered' | 'waiting' | 'final' | 'exhausted'): readonly unknown[] =>
    reports.flatMap((report) => report[list].map((failed) => deliveryDocument(report.host, failed)));
  return {
    redelivered: all('redelivered'),
    waiting: all('waiting'),
    final: all('final'),
    exhausted: all('exhausted'),
    reached_back_to: latestMoment(reports.map(({ reachedBackTo }) => reachedBackTo)),
    complete: reports.every(({ complete }) => complete),
  };
}

function deliveryDocument(
  host: string,
  { guid, deliveryId, event, action, statusCode, attempts }: Failed,
): unknown {
  return { host, guid, delivery_id: deliveryId, event, action, status_code: statusCode, attempts };
}

/** Of several hosts, the one that was looked into least far. */
function latestMoment(moments: readonly (string | null)[]): string | null {
  const known = moments.filter((moment) => moment !== null);
  return known.sort((one, other) => Date.parse(other) - Date.parse(one))[0] ?? null;
}

function printReports(reports: readonly RedeliveryReport[]): void {
  const rows = reports.flatMap(({ host, redelivered, waiting, final, exhausted }) => [
    ...redelivered.map((failed) => row(host, failed, { text: 'asked for', tone: 'good' })),
    ...waiting.map((failed) => row(host, failed, { text: 'under way' })),
    ...final.map((failed) => row(host, failed, { text: 'final: it would be refused again', tone: 'bad' })),
    ...exhausted.map((failed) => row(host, failed, { text: 'exhausted: mend the receiver', tone: 'bad' })),
  ]);
  if (rows.length > 0) {
    print(
      formatTable(
        [
          { title: 'GUID' },
          { title: 'HOST', shrinkTo: 10 },
          { title: 'EVENT' },
          { title: 'STATUS', align: 'right' },
          { title: 'ATTEMPTS', align: 'right' },
          { title: 'WHAT', shrinkTo: 12 },
        ],
        rows,
        standardTerminal(),
      ),
    );
  }
  for (const { host, redelivered, final, exhausted, reachedBackTo, complete } of reports) {
    const counts = `${redelivered.length} asked for, ${final.length} final, ${exhausted.length} exhausted`;
    const reach = reachedBackTo === null ? 'GitHub lists no deliveries' : `looked back to ${reachedBackTo}`;
    const rest = complete ? '' : '; not to the end: run it again';
    tell(`${host}: ${counts}; ${reach}${rest}\n`);
  }
}

function row(host: string, failed: Failed, what: Cell): readonly Cell[] {
  const event = failed.action === null ? failed.event : `${failed.event} ${failed.action}`;
  const status = failed.statusCode === 0 ? 'none' : String(failed.statusCode);
  return [
    { text: failed.guid },
    { text: host },
    { text: event },
    { text: status },
    { text: String(failed.attempts) },
    what,
  ];
}
