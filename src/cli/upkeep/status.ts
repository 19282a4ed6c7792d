import type { Command } from 'commander';
import { archiveIdentity } from '../../config/archive-url.ts';
import { loadConfig, type Config } from '../../config.ts';
import { EverlogError } from '../../errors.ts';
import { inertText } from '../../log/terminal-sanitiser.ts';
import { openQueue, refuseForeignQueueOf } from '../../service/queue.ts';
import { openStandingArchive } from '../../service/standing-archive.ts';
import type { QueueControl } from '../../control/requests.ts';
import { reachService } from '../../control/socket-client.ts';
import { openLog } from '../../logger.ts';
import { readLastDigest } from '../../queue/digest-note.ts';
import { readReconciled } from '../../reconcile/reconcile-note.ts';
import { EXIT, exitCodeOf } from '../exit.ts';
import { counted, formatCount, formatDuration, formatMoment } from '../terminal/format.ts';
import { standardTerminal } from '../terminal/standard-terminal.ts';
import { formatTable, type Cell } from '../terminal/table.ts';
import { print } from '../terminal/print.ts';

/** What stands where; null where it is not known, which is said. */
interface StatusReport {
  readonly archive: string;
  /** Why it is not known to be an archive; null where it is, or is not this machine's to reach. */
  readonly archive_problem: string | null;
  readonly queue: string;
  /** Why nothing is told of the queue though it answered: it belongs to another archive, or may. Null where it is told of. */
  readonly queue_problem: string | null;
  /** Whether the queue answered: with an embedded one, whether the service that owns it runs. */
  readonly reached: boolean;
  readonly queues: Readonly<
    Record<string, { waiting: number; active: number; delayed: number; failed: number }>
  > | null;
  readonly put_off: Readonly<Record<string, number>> | null;
  readonly oldest_at: string | null;
  readonly last_digest: { readonly sequence: number; readonly at: string } | null;
  /** When each host was last compared with the archive. */
  readonly reconciled_at: Readonly<Record<string, string>> | null;
  readonly gaps: number | null;
}

/** `everlog status`: the queue, put-off jobs with their reasons, the oldest, last digest and reconcile. */
export function registerStatus(program: Command, done: (exit: number) => void): void {
  program
    .command('status')
    .description('queue, put-off jobs with their reasons, oldest job, last digest and reconcile')
    .option('--json', 'one JSON document')
    .action(async (options: { json?: boolean }) => {
      const { status, exit } = await gatherStatus();
      print(options.json === true ? `${JSON.stringify(status)}\n` : statusText(status));
      done(exit);
    });
}

async function gatherStatus(): Promise<{ readonly status: StatusReport; readonly exit: number }> {
  const config = loadConfig({});
  const [queue, archive] = await Promise.all([readQueue(config), findArchiveProblem(config)]);
  const location = archiveIdentity(config.archive);
  return {
    status: { archive: location, archive_problem: archive.problem, ...queue.status },
    exit: queue.exit === EXIT.ok ? archive.exit : queue.exit,
  };
}

/** A receiver's machine need not reach the archive, and knows of one only where it is named. */
async function findArchiveProblem(
  config: Config,
): Promise<{ readonly problem: string | null; readonly exit: number }> {
  if (config.queue.kind !== 'embedded' && !config.archiveNamed) return { problem: null, exit: EXIT.ok };
  try {
    await (await openStandingArchive(config, config.archive)).close();
    return { problem: null, exit: EXIT.ok };
  } catch (error) {
    if (error instanceof EverlogError) return { problem: error.message, exit: exitCodeOf(error) };
    throw error;
  }
}

type QueueStatus = Omit<StatusReport, 'archive' | 'archive_problem'>;
type Asked = Pick<QueueControl, 'counts' | 'backlog' | 'notes'>;

interface QueueAnswer {
  readonly status: QueueStatus;
  readonly exit: number;
}

async function readQueue(config: Config): Promise<QueueAnswer> {
  if (config.queue.kind === 'embedded') {
    const queue = `embedded:${config.queue.folder}`;
    // A queue that nobody owns is not opened: looking must not make a database, nor take the place of a service.
    const remote = await reachService(config.queue.folder);
    if (remote === null) return { status: untold(queue), exit: EXIT.notFound };
    try {
      return await ownStatus(config, queue, remote);
    } finally {
      await remote.close();
    }
  }
  const open = await openQueue(config, openLog('silent', { write: () => undefined }));
  try {
    await open.queue.ping();
    return await ownStatus(config, open.queue.location, open.queue);
  } finally {
    await open.queue.close();
  }
}

/** The numbers of another archive's queue would be taken for this one's. */
async function ownStatus(config: Config, queue: string, asked: Asked): Promise<QueueAnswer> {
  try {
    if (config.archiveNamed) await refuseForeignQueueOf(config, asked);
  } catch (error) {
    if (!(error instanceof EverlogError)) throw error;
    const status = { ...untold(queue), reached: true, queue_problem: error.message };
    return { status, exit: exitCodeOf(error) };
  }
  return { status: await queueStatus(queue, asked), exit: EXIT.ok };
}

function untold(queue: string): QueueStatus {
  return {
    queue,
    queue_problem: null,
    reached: false,
    queues: null,
    put_off: null,
    oldest_at: null,
    last_digest: null,
    reconciled_at: null,
    gaps: null,
  };
}

async function queueStatus(queue: string, control: Asked): Promise<QueueStatus> {
  const [queues, backlog, digest, reconciled] = await Promise.all([
    control.counts(),
    control.backlog(),
    readLastDigest(control.notes),
    readReconciled(control.notes, new Date()),
  ]);
  return {
    queue,
    queue_problem: null,
    reached: true,
    queues,
    put_off: Object.fromEntries(Object.entries(backlog.putOff).filter(([, jobs]) => jobs > 0)),
    oldest_at: backlog.oldestAt?.toISOString() ?? null,
    last_digest: digest === null ? null : { sequence: digest.sequence, at: digest.at.toISOString() },
    reconciled_at: Object.fromEntries([...reconciled.lastAt].map(([host, at]) => [host, at.toISOString()])),
    gaps: reconciled.gapJobs,
  };
}

function statusText(status: StatusReport): string {
  const terminal = standardTerminal();
  const problem = status.archive_problem === null ? '' : `         ${inertText(status.archive_problem)}\n`;
  const head = `archive  ${inertText(status.archive)}\n${problem}queue    ${inertText(status.queue)}\n`;
  if (status.queue_problem !== null) return `${head}         ${inertText(status.queue_problem)}\n`;
  if (!status.reached || status.queues === null) {
    return `${head}\nNo service runs that owns this queue, so nothing is known of waiting jobs: start it with everlog up.\n`;
  }
  const rows = Object.entries(status.queues).map(
    ([name, { waiting, active, delayed, failed }]): readonly Cell[] => [
      { text: name },
      { text: formatCount(waiting) },
      { text: formatCount(active) },
      { text: formatCount(delayed) },
      { text: formatCount(failed), ...(failed > 0 ? { tone: 'bad' as const } : {}) },
    ],
  );
  const columns = ['QUEUE', 'WAITING', 'AT WORK', 'PUT OFF', 'FAILED'].map((title, index) =>
    index === 0 ? { title } : { title, align: 'right' as const },
  );
  const putOff = Object.entries(status.put_off ?? {}).map(
    ([reason, jobs]) => `${formatCount(jobs)} ${reason.replaceAll('_', ' ')}`,
  );
  const reconciled = Object.entries(status.reconciled_at ?? {}).map(
    ([host, at]) => `${host} ${formatMoment(at)} UTC`,
  );
  const facts = [
    ['put off', putOff.length === 0 ? 'nothing' : putOff.join(', ')],
    [
      'oldest job',
      status.oldest_at === null
        ? 'none waits'
        : `${formatDuration(Date.now() - Date.parse(status.oldest_at))}, since ${formatMoment(status.oldest_at)} UTC`,
    ],
    [
      'last digest',
      status.last_digest === null
        ? 'none noted'
        : `${status.last_digest.sequence}, ${formatMoment(status.last_digest.at)} UTC`,
    ],
    ['compared with GitHub', reconciled.length === 0 ? 'not yet' : reconciled.join(', ')],
    ['gaps', status.gaps === null ? 'not known' : counted(status.gaps, 'job')],
  ];
  return `${head}\n${formatTable(columns, rows, terminal)}\n${facts.map(([name, value]) => `${(name ?? '').padEnd(20)}  ${value ?? ''}\n`).join('')}`;
}
