import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { destination } from 'pino';
import { openArchive } from '../../service/archive.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { loadConfig } from '../../config.ts';
import { codeOf, giveUp, messageOf } from '../../errors.ts';
import { openLog } from '../../logger.ts';
import { startSimulator, type Simulator } from '../../simulator/simulator.ts';
import { startService, UP, type Service } from '../../service/service.ts';
import { makeFolders } from '../../folders.ts';

/** Where one run of the demo keeps its files. */
export interface DemoFolder {
  readonly path: string;
  readonly archive: string;
  readonly queue: string;
  readonly spool: string;
  /** Of the ledger, with which the service signs; of no use to anybody afterwards. */
  readonly signingKey: string;
  /** The service's own log. */
  readonly logFile: string;
}

/** The real service with a simulated GitHub, and the archive as a reader sees it. */
export interface DemoService {
  readonly simulator: Simulator;
  readonly store: ObjectStore;
  /** Where the simulated GitHub sends deliveries. */
  readonly webhooks: string;
  readonly admin: string | null;
  /** The web page. */
  readonly web: string | null;
  /** Appends a digest to the ledger. */
  readonly seal: NonNullable<Service['seal']>;
  /** Rejects when the service cannot go on. */
  readonly failed: Promise<never>;
  /** Drains the service, then ends the simulated GitHub. */
  stop(): Promise<void>;
}

/** Demos that may keep their files side by side; more were forgotten there. */
const LASTING_FOLDERS_MAX = 1_000;
const LASTING_PARENT = './data/demo';

/**
 * A new folder in the system's temporary one, or a lasting one below the working directory, which is numbered so that no
 * demo meets what an earlier one left or another one is using.
 * @throws EverlogError `usage` when it cannot be made.
 */
export async function makeDemoFolder(kind: 'temporary' | 'lasting'): Promise<DemoFolder> {
  const parent = kind === 'temporary' ? tmpdir() : LASTING_PARENT;
  try {
    const path =
      kind === 'temporary' ? await mkdtemp(join(parent, 'everlog-demo-')) : await makeNumbered(parent);
    const spool = `${path}/spool`;
    await mkdir(spool);
    return {
      path,
      spool,
      archive: `${path}/archive`,
      queue: `${path}/queue`,
      signingKey: `${path}/queue.signing-key.pem`,
      logFile: `${path}/service.log`,
    };
  } catch (error) {
    throw giveUp('usage', `the demo cannot make its folder below ${parent}: ${messageOf(error)}`, error);
  }
}

async function makeNumbered(parent: string): Promise<string> {
  await makeFolders(parent);
  for (let number = 1; number <= LASTING_FOLDERS_MAX; number += 1) {
    const path = `${parent}/${number}`;
    try {
      await mkdir(path);
      return path;
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
    }
  }
  throw new Error(`${LASTING_FOLDERS_MAX} demos have left their files there: remove some`);
}

/** Removes everything of a demo. */
export async function removeDemoFolder(folder: DemoFolder): Promise<void> {
  await rm(folder.path, { recursive: true, force: true, maxRetries: 3 });
}

/** Removes what is of use only while the service runs, and keeps archive and log. */
export async function tidyDemoFolder(folder: DemoFolder): Promise<void> {
  for (const path of [folder.queue, folder.spool, folder.signingKey])
    await rm(path, { recursive: true, force: true, maxRetries: 3 });
}

/**
 * Starts the simulated GitHub and the service as `everlog up` would, configured for each other by variables of their own:
 * nothing of the user's settings, accounts or proxies takes part. `admin`: whether metrics and readiness are served too.
 */
export async function startDemoService(folder: DemoFolder, admin: boolean): Promise<DemoService> {
  const simulator = await startSimulator();
  try {
    const config = loadConfig({ receive: true, github: true }, variablesFor(simulator, folder, admin));
    const log = openLog(config.logLevel, destination({ dest: folder.logFile, sync: true }));
    const service = await startService(config, { ...UP, schedules: false }, log);
    const store = await openArchive(config, config.archive);
    const { seal } = service;
    if (service.webhooks === null || seal === null)
      throw new Error('the demo needs a service that receives and seals');
    const webhooks = `${service.webhooks.url}/webhooks`;
    simulator.deliveries.url = webhooks;
    // Heard by whoever waits for the service; a rejection in a moment when nobody does must not end the process.
    service.failed.catch(() => undefined);
    return {
      simulator,
      store,
      webhooks,
      admin: service.admin?.url ?? null,
      web: service.web?.url ?? null,
      seal,
      failed: service.failed,
      async stop() {
        await service.stop();
        await store.close();
        await simulator.close();
      },
    };
  } catch (error) {
    await simulator.close();
    throw error;
  }
}

function variablesFor(simulator: Simulator, folder: DemoFolder, admin: boolean): Record<string, string> {
  return {
    EVERLOG_GITHUB_API_URL: simulator.apiUrl,
    EVERLOG_GITHUB_APP_ID: String(simulator.appId),
    EVERLOG_GITHUB_PRIVATE_KEY: simulator.privateKeyPem,
    EVERLOG_GITHUB_WEBHOOK_SECRET: simulator.webhookSecret,
    EVERLOG_GITHUB_LOG_HOSTS: new URL(simulator.logOrigin).host,
    EVERLOG_GITHUB_PRIVATE_CIDRS: '127.0.0.0/8',
    EVERLOG_QUEUE_URL: `embedded:${folder.queue}`,
    EVERLOG_ARCHIVE_URL: `file:${folder.archive}`,
    EVERLOG_SPOOL_DIR: folder.spool,
    EVERLOG_LISTEN: '127.0.0.1:0',
    EVERLOG_ADMIN_LISTEN: admin ? '127.0.0.1:0' : 'off',
    EVERLOG_WEB_LISTEN: admin ? '127.0.0.1:0' : 'off',
  };
}
