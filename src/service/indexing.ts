import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ArchiveUrl, Config } from '../config.ts';
import { openJobIndex, type JobIndex } from '../index/job-index.ts';
import { RecentRows } from '../index/write/recent-rows.ts';
import { compactIndex, type CompactionReport } from '../index/write/compact.ts';
import { indexLedger, type IndexerDeps, type IndexReport } from '../index/write/indexer.ts';
import type { Log } from '../logger.ts';
import { messageOf } from '../errors.ts';
import { openFolderStore } from '../store/folder/folder-object-store.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { openArchive } from './archive.ts';

/** The query index: where it is, and what reads and writes it. */

type IndexConfig = Pick<Config, 's3' | 'proxies' | 'archive' | 'indexUrl' | 'spoolFolder'>;

/**
 * Opens the place of an archive's index: the configured one for the configured archive, else `index/` below the archive.
 * What is in it is never locked, as all of it can be made again.
 */
export async function openIndexStore(config: IndexConfig, archive: ArchiveUrl): Promise<ObjectStore> {
  const isConfigured = JSON.stringify(archive) === JSON.stringify(config.archive);
  const place = isConfigured && config.indexUrl !== null ? config.indexUrl : indexBelow(archive);
  const s3 = { ...config.s3, lockMode: 'none', retentionDays: null, logStorageClass: null } as const;
  return openArchive({ s3, proxies: config.proxies }, place);
}

/** Opens the index of an archive for reading; null where there is none. The caller closes it. */
export async function openIndexFor(
  config: IndexConfig,
  archive: ArchiveUrl,
  store: ObjectStore,
  onProblem: (key: string, problem: string) => void,
): Promise<{ readonly index: JobIndex; close(): Promise<void> } | null> {
  const place = await openIndexStore(config, archive);
  const index = await openJobIndex({ archive: store, index: place, onProblem }).catch(
    async (error: unknown) => {
      await place.close();
      throw error;
    },
  );
  if (index !== null) return { index, close: () => place.close() };
  await place.close();
  return null;
}

/** What writing the index needs besides the archive; scratch space is in the spool folder, and goes with the work. */
export function indexerOf(
  config: IndexConfig,
  archive: ObjectStore,
  index: ObjectStore,
  onProblem: (key: string, problem: string) => void,
): IndexerDeps {
  return {
    archive,
    index,
    onProblem,
    openScratch: async () => {
      const folder = await mkdtemp(join(config.spoolFolder, 'everlog-index-'));
      const store = await openFolderStore({ folder });
      return {
        store,
        spoolDir: config.spoolFolder,
        close: async () => {
          await store.close();
          await rm(folder, { recursive: true, force: true });
        },
      };
    },
  };
}

function indexBelow(archive: ArchiveUrl): ArchiveUrl {
  if (archive.kind === 'folder') return { kind: 'folder', folder: join(archive.folder, 'index') };
  return { ...archive, prefix: archive.prefix === '' ? 'index' : `${archive.prefix}/index` };
}

/** Brings the configured archive's index up to the ledger's end. What cannot be read is told in the log. */
export async function updateIndexOf(config: Config, archive: ObjectStore, log: Log): Promise<IndexReport> {
  const index = await openIndexStore(config, config.archive);
  const onProblem = (key: string, problem: string): void =>
    log.error({ key, problem }, 'a record cannot be read and is not in the index');
  try {
    return await indexLedger(indexerOf(config, archive, index, onProblem));
  } finally {
    await index.close();
  }
}

/** Merges the parts of the configured archive's index. */
export async function compactIndexOf(config: Config): Promise<CompactionReport> {
  const index = await openIndexStore(config, config.archive);
  try {
    return await compactIndex({ index, spoolDir: config.spoolFolder }, { now: new Date(), all: false });
  } finally {
    await index.close();
  }
}

/** Workers tell readers of what they recorded this often; one process on an embedded queue can afford it sooner. */
const TELL_EVERY_MS = 60_000;
const TELL_EMBEDDED_EVERY_MS = 5_000;

/** What a process of workers tells the index's readers of its records before the ledger does. */
export interface RecentTelling {
  /** The archive for whoever commits to it. */
  readonly store: ObjectStore;
  /** Tells what is left, and closes. */
  close(): Promise<void>;
}

/** Begins to tell readers of what is committed through its store. Trouble with it holds nothing up. */
export function tellRecent(config: Config, archive: ObjectStore, log: Log): RecentTelling {
  const processId = randomBytes(6).toString('hex');
  const rows = new RecentRows(processId);
  let opened: ObjectStore | null = null;
  const tell = async (): Promise<void> => {
    try {
      if (rows.count === 0) return;
      opened ??= await openIndexStore(config, config.archive);
      await rows.flush({ index: opened, spoolDir: config.spoolFolder, now: new Date() });
    } catch (error) {
      log.debug({ problem: messageOf(error) }, 'the index could not be told of recent records');
    }
  };
  const everyMs = config.queue.kind === 'embedded' ? TELL_EMBEDDED_EVERY_MS : TELL_EVERY_MS;
  const timer = setInterval(() => void tell(), everyMs).unref();
  return {
    store: rows.watch(archive),
    async close() {
      clearInterval(timer);
      await tell();
      await opened?.close();
    },
  };
}
