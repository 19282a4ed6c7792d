import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { IndexerDeps } from '../../../src/index/write/indexer.ts';
import { openFolderStore } from '../../../src/store/folder/folder-object-store.ts';
import type { ObjectStore } from '../../../src/store/object-store.ts';
import { makeArchive } from '../oracles/archived-jobs.ts';

/** For tests in which every record can be read. */
export function noProblem(key: string, problem: string): never {
  throw new Error(`${key}: ${problem}`);
}

/** What an indexer needs: an index in a folder of its own, and scratch folders that go with the work. */
export async function indexerDeps(archive: ObjectStore, index?: ObjectStore): Promise<IndexerDeps> {
  return {
    archive,
    index: index ?? (await makeArchive()),
    openScratch: async () => {
      const folder = await mkdtemp(join(tmpdir(), 'everlog-scratch-'));
      const store = await openFolderStore({ folder });
      return {
        store,
        spoolDir: tmpdir(),
        close: async () => {
          await store.close();
          await rm(folder, { recursive: true, force: true });
        },
      };
    },
    onProblem: noProblem,
  };
}
