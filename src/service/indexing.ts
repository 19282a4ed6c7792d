import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ArchiveUrl, Config } from '../config.ts';
import { compactIndex, type CompactionReport } from '../index/write/compact.ts';
import { indexLedger, type IndexerDeps, type IndexReport } from '../index/write/indexer.ts';
import type { Log } from '../logger.ts';
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
