import { quantile } from '../arithmetic.ts';
import { deliveryRequest } from './deliveries.ts';
import { atLeast, atMost, compared, plain, type Area, type Finding } from '../findings.ts';
import { closedLoop, openLoop } from './load.ts';
import { cpuUsOf } from '../machine.ts';
import { interleaved, type Extent } from '../rounds.ts';
import {
  everlogSettings,
  hostsFile,
  openStage,
  textOf,
  type Queue,
  type Stage,
  type Started,
} from '../stage.ts';

/** Deliveries a second that the receiver acknowledges, and how long they wait. */

const IN_FLIGHT = 50;
const JOB_IDS_FROM = 4_000_000_000;
/** Deliveries a second, and how many: enough of them for a p99, of which a quick run has less than one could wish. */
const OPEN_LOOPS = [
  { rate: 500, full: 1_000, quick: 500 },
  { rate: 2_000, full: 2_000, quick: 1_000 },
] as const;

interface Receivers {
  readonly queue: Queue;
  readonly everlog: Started;
  /** By kind, Everlog included. */
  port(kind: string): number;
}

interface Sample {
  readonly perSecond: number;
  readonly cpuUs: number;
}

export async function receiver(extent: Extent): Promise<Area> {
  const stage = openStage();
  try {
    const receivers = await startReceivers(stage);
    const closed = await throughput(receivers, extent);
    const open: Finding[] = [];
    for (const { rate, full, quick } of OPEN_LOOPS)
      open.push(...(await latency(receivers, rate, extent.scaled(full, quick), extent)));
    return {
      name: 'receiver',
      title: `Receiver: one process on one core, Redis with AOF everysec; ${IN_FLIGHT} requests in flight, then fixed arrivals`,
      findings: [...closed, ...open],
      notes: [
        'Probot logs no delivery by default; Everlog logs each by default, and none here (EVERLOG_LOG_LEVEL=warn).',
      ],
    };
  } finally {
    await stage.close();
  }
}

async function startReceivers(stage: Stage): Promise<Receivers> {
  const queue = await stage.redis();
  const everlog = await stage.everlog('measured', ['serve'], {
    ...everlogSettings(queue),
    EVERLOG_CONFIG: hostsFile(stage.folder(), 'http://127.0.0.1:1'),
  });
  const ports = new Map([['everlog', Number(new URL(textOf(everlog, 'webhooks')).port)]]);
  for (const kind of ['bare', 'parsing', 'hono', 'no-queue', 'probot']) {
    const started = await stage.script('measured', 'receiver-process.ts', [kind]);
    ports.set(kind, Number(textOf(started, 'port')));
  }
  return {
    queue,
    everlog,
    port(kind) {
      const found = ports.get(kind);
      if (found === undefined) throw new Error(`no receiver is called ${kind}`);
      return found;
    },
  };
}

/** As many deliveries of different jobs. */
function deliveries(count: number, action: string): Buffer[] {
  return Array.from({ length: count }, (_, index) =>
    deliveryRequest('/webhooks', action, JOB_IDS_FROM + index),
  );
}

async function throughput(receivers: Receivers, extent: Extent): Promise<Finding[]> {
  const count = extent.scaled(6_000, 1_500);
  const completed = deliveries(count, 'completed');
  const other = deliveries(count, 'in_progress');
  const { client } = receivers.queue;

  const against = (kind: string) => async (): Promise<Sample> => {
    const { perSecond } = await closedLoop(receivers.port(kind), completed, IN_FLIGHT);
    return { perSecond, cpuUs: 0 };
  };
  const everlog = (requests: readonly Buffer[], jobs: number) => async (): Promise<Sample> => {
    await client.flushall();
    const cpuBeforeUs = cpuUsOf(receivers.everlog.process.pid);
    const { perSecond } = await closedLoop(receivers.port('everlog'), requests, IN_FLIGHT);
    const cpuUs = (cpuUsOf(receivers.everlog.process.pid) - cpuBeforeUs) / requests.length;
    const queued = await client.zcard('everlog:archive:prioritized');
    if (queued !== jobs) throw new Error(`${queued} jobs are queued after ${jobs} were acknowledged`);
    return { perSecond, cpuUs };
  };
  const contestants = {
    bare: against('bare'),
    parsing: against('parsing'),
    hono: against('hono'),
    probot: against('probot'),
    everlog: everlog(completed, count),
    others: everlog(other, 0),
  };
  // Code that has not run often is slow, and one such round would spread all.
  await interleaved(1, contestants);
  const of = await interleaved(extent.rounds, contestants);
  const rate = (name: keyof typeof contestants): number[] => of(name).map(({ perSecond }) => perSecond);
  const queued = { what: 'deliveries queued', unit: 'req/s', everlog: rate('everlog') } as const;
  const unused = { what: 'deliveries that need no job', unit: 'req/s', everlog: rate('others') } as const;
  return [
    compared({ ...queued, against: 'peer', name: 'Probot', theirs: rate('probot'), target: atLeast(1) }),
    compared({
      ...queued,
      against: 'limit',
      name: 'node:http, HMAC, JSON.parse',
      theirs: rate('parsing'),
      target: atLeast(0.5),
    }),
    compared({ ...queued, against: 'limit', name: 'Hono, verify, no queue', theirs: rate('hono') }),
    compared({
      ...unused,
      against: 'limit',
      name: 'node:http, HMAC',
      theirs: rate('bare'),
      target: atLeast(0.6),
    }),
    plain(
      'CPU for a queued delivery',
      'µs',
      of('everlog').map(({ cpuUs }) => cpuUs),
    ),
  ];
}

async function latency(
  receivers: Receivers,
  rate: number,
  count: number,
  extent: Extent,
): Promise<Finding[]> {
  const requests = deliveries(count, 'completed');
  const p99 = (kind: string) => async (): Promise<number> => {
    if (kind === 'everlog') await receivers.queue.client.flushall();
    return quantile(await openLoop(receivers.port(kind), requests, rate), 0.99);
  };
  const of = await interleaved(extent.rounds, {
    everlog: p99('everlog'),
    without: p99('no-queue'),
    probot: p99('probot'),
  });
  const shared = { what: `p99 at ${rate} deliveries/s`, unit: 'ms', everlog: of('everlog') };
  return [
    compared({
      ...shared,
      against: 'limit',
      name: 'the same without a queue',
      theirs: of('without'),
      target: atMost(3),
    }),
    compared({ ...shared, against: 'peer', name: 'Probot', theirs: of('probot') }),
  ];
}
