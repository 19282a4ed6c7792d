import type { ObjectStore } from '../store/object-store.ts';
import { loadConfig, type Config } from '../config.ts';
import { openArchive } from '../service/archive.ts';
import { examineArchive } from './archive.ts';
import { check, skipped, type Area, type Checked } from './check.ts';
import { examineGitHub } from './github.ts';
import { examineLedger } from './ledger.ts';
import { examineConfiguration, examineSpool } from './machine.ts';
import { examineQueue } from './queue.ts';

export { AREAS, type Area, type Checked } from './check.ts';

/**
 * Looks at everything that Everlog needs, by trying it; leaves nothing behind but what a lock keeps. Areas that are left out
 * are not looked at. Without a configuration there is nothing to look at.
 */
export async function* examineAll(areas: ReadonlySet<Area>): AsyncGenerator<Checked> {
  let config: Config | null = null;
  const loaded = await check('configuration', 'settings', 'correct what the message names', async () => {
    config = loadConfig({});
    return { status: 'ok', detail: 'complete and consistent' };
  });
  yield loaded;
  if (config === null) return;
  yield* examineWith(config, areas);
}

async function* examineWith(config: Config, areas: ReadonlySet<Area>): AsyncGenerator<Checked> {
  if (areas.has('configuration')) yield await examineConfiguration(config);
  if (areas.has('machine')) yield await examineSpool(config);
  if (areas.has('queue')) yield* await examineQueue(config);
  if (areas.has('archive') || areas.has('ledger')) yield* examineStore(config, areas);
  if (areas.has('github')) yield* await examineGitHub(config);
}

async function* examineStore(config: Config, areas: ReadonlySet<Area>): AsyncGenerator<Checked> {
  let store: ObjectStore | null = null;
  const fix = 'correct EVERLOG_ARCHIVE_URL';
  const opened = await check('archive', 'reachable', fix, async () => {
    store = await openArchive(config, config.archive);
    return { status: 'ok', detail: '' };
  });
  if (store === null) {
    yield opened;
    return;
  }
  const standing: ObjectStore = store;
  try {
    let answers = true;
    if (areas.has('archive')) {
      for (const result of await examineArchive(config, standing)) {
        if (result.name === 'reachable') answers = result.status !== 'failed';
        yield result;
      }
    }
    if (!areas.has('ledger')) return;
    if (answers) yield* await examineLedger(config, standing);
    else yield skipped('ledger', 'signing key', 'the archive does not answer');
  } finally {
    await standing.close();
  }
}
