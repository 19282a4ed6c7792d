import { Option, type Command } from 'commander';
import { destination } from 'pino';
import { loadConfig, type Needs } from '../config.ts';
import { openLog } from '../logger.ts';
import { QUEUE_NAMES } from '../queue/catalog.ts';
import { EXIT } from './exit.ts';
import { SERVE, startService, UP, type Roles, type Service } from '../service/service.ts';
import { startWeb } from '../service/web/web.ts';
import { print } from './terminal/print.ts';

/** A start takes seconds at most; orchestrators kill what has not ended 30 s after they asked. */
const START_GRACE_MS = 10_000;

/** `everlog up`, `serve` and `work`: processes that run until they are told to stop. */
export function registerService(program: Command, done: (exit: number) => void): void {
  program
    .command('up')
    .description('receiver, workers and schedules in one process')
    .option('--json', 'print one JSON document with the addresses once it is up')
    .action(async (options: { json?: boolean }) => {
      done(await serveUntilStopped(UP, { receive: true, github: true }, options.json === true));
    });
  program
    .command('serve')
    .description('receiver alone; any number of them')
    .option('--json', 'print one JSON document with the addresses once it is up')
    .action(async (options: { json?: boolean }) => {
      done(await serveUntilStopped(SERVE, { receive: true, queueServer: true }, options.json === true));
    });
  program
    .command('web')
    .description('the web page; any number of them')
    .option('--json', 'print one JSON document with the address once it is up')
    .action(async (options: { json?: boolean }) => {
      done(await runWeb(options.json === true));
    });
  program
    .command('work')
    .description('workers and schedules; any number of them')
    .addOption(
      new Option('--only <role>', 'run one role, so that each can hold only its own credentials').choices(
        QUEUE_NAMES,
      ),
    )
    .option('--json', 'print one JSON document with the addresses once it is up')
    .action(async (options: { only?: string; json?: boolean }) => {
      const queues = QUEUE_NAMES.filter((name) => options.only === undefined || options.only === name);
      const sealsOnly = options.only === 'seal';
      const needs = { queueServer: true, github: !sealsOnly, signingKey: sealsOnly };
      done(
        await serveUntilStopped({ receive: false, queues, schedules: true }, needs, options.json === true),
      );
    });
}

async function serveUntilStopped(roles: Roles, needs: Needs, json: boolean): Promise<number> {
  const config = loadConfig(needs);
  const log = openLog(config.logLevel, destination({ fd: 2, sync: true }));
  const stopped = stopSignal();
  const service = await startedUnless(stopped, startService(config, roles, log));
  if (service === null) return EXIT.ok;
  if (json) print(`${JSON.stringify(addresses(service))}\n`);
  try {
    await Promise.race([stopped, service.failed]);
  } finally {
    await service.stop();
  }
  return EXIT.ok;
}

/** What hangs while it starts is not waited for once the process is told to stop; what comes up meanwhile is stopped in order. */
async function startedUnless(stopped: Promise<void>, starting: Promise<Service>): Promise<Service | null> {
  const first = await Promise.race([starting, stopped]);
  if (first !== undefined) return first;
  const grace = new Promise<null>((resolve) => void setTimeout(() => resolve(null), START_GRACE_MS).unref());
  await (await Promise.race([starting, grace]))?.stop();
  return null;
}

function addresses(service: Service): Record<string, string | null> {
  return {
    webhooks: service.webhooks?.url ?? null,
    admin: service.admin?.url ?? null,
    web: service.web?.url ?? null,
    queue: service.open.queue.location,
  };
}

/** `everlog web`: the page alone. */
async function runWeb(json: boolean): Promise<number> {
  const config = loadConfig({ web: true });
  const log = openLog(config.logLevel, destination({ fd: 2, sync: true }));
  const stopped = stopSignal();
  const page = await startWeb(config, log);
  if (json) print(`${JSON.stringify({ web: page.web.url })}\n`);
  await stopped;
  await page.stop();
  return EXIT.ok;
}

/** Resolves on the first SIGTERM or SIGINT; the second ends the process at once. */
export function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    let asked = false;
    const stop = (): void => {
      if (asked) process.exit(EXIT.interrupted);
      asked = true;
      resolve();
    };
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
  });
}
