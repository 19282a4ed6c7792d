import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLog } from '../../../src/logger.ts';
import { listenHttp } from '../../../src/receiver/serve.ts';
import { openFolderStore } from '../../../src/store/folder/folder-object-store.ts';
import type { ObjectStore } from '../../../src/store/object-store.ts';
import { loopbackAccess } from '../../../src/web/access/access.ts';
import { createWeb } from '../../../src/web/app.ts';
import type { WebDeps, View } from '../../../src/web/site.ts';

/** The web page on an archive of its own, answering real HTTP. */
export interface WebUnderTest {
  readonly url: string;
  readonly store: ObjectStore;
  readonly views: readonly View[];
  close(): Promise<void>;
}

/** What an operator's page says when nothing is known. */
export const NOTHING_KNOWN = {
  archive: 'file:/archive',
  queue: null,
  budgets: null,
  lastDigest: null,
  lastVerify: null,
  reconciledThrough: null,
  pendingCommits: null,
} as const;

/** Everything that a page needs, for a reader on this machine; `changes` are laid over it. */
export function webDeps(store: ObjectStore, changes: Partial<WebDeps> = {}): WebDeps {
  return {
    store,
    access: loopbackAccess('me'),
    hosts: () => null,
    noteView: async () => undefined,
    status: async () => NOTHING_KNOWN,
    openIndex: async () => null,
    proofBundle: null,
    now: () => new Date(),
    log: openLog('silent', { write: () => undefined }),
    ...changes,
  };
}

/** Starts the page on an empty folder; the caller closes it. */
export async function openWebUnderTest(changes: Partial<WebDeps> = {}): Promise<WebUnderTest> {
  const folder = await mkdtemp(join(tmpdir(), 'everlog-web-'));
  const store = await openFolderStore({ folder });
  const views: View[] = [];
  const noteView = async (view: View): Promise<void> => {
    views.push(view);
  };
  const app = createWeb(webDeps(store, { noteView, ...changes }));
  const listener = await listenHttp({ app, host: '127.0.0.1', port: 0 });
  return {
    url: listener.url,
    store,
    views,
    async close() {
      await listener.close(0);
      await store.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
