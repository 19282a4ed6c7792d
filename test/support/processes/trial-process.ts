/**
 * A process that is killed in a trial, when it is about to remove what it tried with:
 * `trial-process.ts redis URL PREFIX` or `trial-process.ts folder FOLDER`.
 */
import { Redis } from 'ioredis';
import { tryRedisWork } from '../../../src/queue/redis/redis-trial.ts';
import { watchWrites } from '../../../src/service/health/archive-readiness.ts';
import { openFolderStore } from '../../../src/store/folder/folder-object-store.ts';

const [kind = '', place = '', prefix = ''] = process.argv.slice(2);

/** The operating system ends the process in this call. */
function die(): never {
  process.kill(process.pid, 'SIGKILL');
  throw new Error('it lives');
}

if (kind === 'redis') {
  const connection = new Redis(place);
  connection.del = die;
  await tryRedisWork(connection, prefix);
} else {
  const store = await openFolderStore({ folder: place });
  await watchWrites({ ...store, remove: die }, true).ready();
}
