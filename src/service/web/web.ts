import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../../config.ts';
import { WEB_LISTEN, type WebSettings } from '../../config/web-variables.ts';
import { EverlogError, giveUp, messageOf } from '../../errors.ts';
import type { Log } from '../../logger.ts';
import type { JobQueue } from '../../queue/job-queue.ts';
import { listenHttp, type HttpListener } from '../../receiver/serve.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { loopbackAccess, proxyAccess, type Access } from '../../web/access/access.ts';
import { createWeb } from '../../web/app.ts';
import { GitHubLogin } from '../../web/access/github-login.ts';
import { memorySessions, notedSessions } from '../../web/access/sessions.ts';
import { openConnections } from '../../github/network/connections.ts';
import { actingUser } from '../actor.ts';
import { openArchive } from '../archive.ts';
import { openGitHubUsers } from '../../github/network/users.ts';
import { openQueue, refuseForeignQueueOf, type OpenQueue } from '../queue.ts';
import { openIndexFor } from '../indexing.ts';
import { makeProofBundle } from './proof-bundles.ts';
import { openViewNotes } from './view-notes.ts';
import { readStatus, type Budgets } from './web-status.ts';

/** A process that serves the web page alone. */
export interface WebProcess {
  readonly web: HttpListener;
  stop(): Promise<void>;
}

const HTTP_DRAIN_MS = 5_000;
const LOOPBACK_NAMES = ['127.0.0.1', 'localhost', '[::1]'];
/** A reader that takes nothing of a page for this long is let go; more than waiting for the costliest page takes. */
const IDLE_MS = 5 * 60_000;
const CLOSE_TIMEOUT_MS = 3_000;

/**
 * The web page, listening, where the configuration asks for it: `EVERLOG_WEB_LISTEN`, or `usual` where that says nothing.
 * @param queue what the status page asks and sessions are kept with; null where a service that owns it runs elsewhere
 * @param budgets what is left of rate limits; null where this process asks GitHub for no logs
 */
export async function listenForWeb(
  config: Config,
  store: ObjectStore,
  queue: JobQueue | null,
  log: Log,
  usual: WebSettings['listen'],
  budgets: Budgets | null,
): Promise<{ readonly listener: HttpListener; close(): Promise<void> } | null> {
  const listen = config.web.isListenSet ? config.web.listen : usual;
  const { auth } = config.web;
  if (listen === null || auth === null) return null;
  const views = openViewNotes(store, log);
  const access = accessOf(config, queue);
  const isLoopback = auth.kind === 'loopback';
  let hosts: readonly string[] | null = config.web.url === null ? null : [new URL(config.web.url).host];
  const app = createWeb({
    store,
    access,
    ...(access instanceof GitHubLogin ? { login: access.routes } : {}),
    hosts: () => hosts,
    noteView: (view) => views.note(view),
    status: () => readStatus(store, queue, budgets),
    openIndex: (onProblem) => openIndexFor(config, config.archive, store, onProblem),
    proofBundle: (stored) => makeProofBundle(store, config.spoolFolder, stored, new Date(), config.web.url),
    now: () => new Date(),
    log,
  });
  const listener = await listenHttp({ app, ...listen, idleMs: IDLE_MS }).catch((error: unknown) => {
    if (config.web.isListenSet) throw error;
    // Nobody asked for this address: another program on it must not keep logs from being archived.
    log.warn({ error: messageOf(error) }, 'no web page: set EVERLOG_WEB_LISTEN to another address, or off');
    return null;
  });
  if (listener === null) {
    await views.close();
    return null;
  }
  // Only these names lead to this machine by its own will; any other may have been pointed here by somebody else, or lead to a
  // proxy that lets in everybody as if they were at this machine.
  if (isLoopback) hosts = [...LOOPBACK_NAMES.map((name) => `${name}:${listener.port}`), ...ownNames(hosts)];
  return {
    listener,
    async close() {
      await listener.close(HTTP_DRAIN_MS);
      await views.close();
    },
  };
}

/** Of names with a port, those of this machine alone. */
function ownNames(hosts: readonly string[] | null): readonly string[] {
  return (hosts ?? []).filter((host) => LOOPBACK_NAMES.some((name) => host.replace(/:\d+$/, '') === name));
}

/**
 * Starts the page alone, on the archive and, where it is a server, the queue.
 * @throws EverlogError `config_invalid` where it is off or nobody is said to be let in, `queue_foreign` for another archive's queue
 */
export async function startWeb(config: Config, log: Log): Promise<WebProcess> {
  if (config.web.auth === null) {
    throw giveUp(
      'config_invalid',
      'EVERLOG_WEB_AUTH is missing: the web page needs github or proxy to know who may look',
    );
  }
  const store = await openArchive(config, config.archive);
  const open = config.queue.kind === 'embedded' ? null : await openOwnQueue(config, log);
  const web = await listenForWeb(config, store, open?.queue ?? null, log, WEB_LISTEN, null);
  if (web === null) {
    throw giveUp(
      'config_invalid',
      'EVERLOG_WEB_LISTEN is off: give it an address, or leave it out for 127.0.0.1:3001',
    );
  }
  log.info({ web: web.listener.url, archive: store.location }, 'the web page is up');
  return {
    web: web.listener,
    async stop() {
      await web.close();
      const closing = Promise.allSettled([open?.queue.close(), store.close()]);
      await Promise.race([closing, sleep(CLOSE_TIMEOUT_MS)]);
      log.info({}, 'the web page has stopped');
    },
  };
}

/** Of another archive's queue the page would show the numbers, and keep its sessions there. One that does not answer may come back. */
async function openOwnQueue(config: Config, log: Log): Promise<OpenQueue> {
  const open = await openQueue(config, log);
  try {
    await refuseForeignQueueOf(config, open.queue);
  } catch (error) {
    if (error instanceof EverlogError && error.remedy.kind === 'retry') return open;
    await open.queue.close();
    throw error;
  }
  return open;
}

function accessOf(config: Config, queue: JobQueue | null): Access {
  const { auth } = config.web;
  switch (auth?.kind) {
    case 'proxy':
      return proxyAccess(auth);
    case 'loopback':
      return loopbackAccess(actingUser().name);
    case 'github': {
      const [host] = config.hosts;
      const { url } = config.web;
      if (host === undefined || url === null) throw giveUp('config_invalid', 'EVERLOG_WEB_URL is missing');
      const users = openGitHubUsers(host.github, openConnections(host.github, config.proxies), auth);
      const auditors = new Set(auth.auditors);
      return new GitHubLogin(users, {
        url,
        secret: auth.secret,
        auditors,
        host: host.github.host,
        // One process owns an embedded queue, and is the only one to serve its people.
        sessions:
          queue === null || config.queue.kind === 'embedded' ? memorySessions() : notedSessions(queue.notes),
        now: () => new Date(),
      });
    }
    case undefined:
      throw giveUp('config_invalid', 'EVERLOG_WEB_AUTH is missing');
  }
}
