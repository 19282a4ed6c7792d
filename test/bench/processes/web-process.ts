/**
 * The web page alone on a folder archive, for measuring. Argument: the archive's folder. Prints its address and process id in a
 * line of JSON.
 */
import { openLog } from '../../../src/logger.ts';
import { listenHttp } from '../../../src/receiver/serve.ts';
import { openFolderStore } from '../../../src/store/folder/folder-object-store.ts';
import { loopbackAccess } from '../../../src/web/access/access.ts';
import { createWeb } from '../../../src/web/app.ts';

const [, , folder = ''] = process.argv;
const store = await openFolderStore({ folder });
const nothing = { queue: null, budgets: null, lastDigest: null, lastVerify: null };
const app = createWeb({
  store,
  access: loopbackAccess('bench'),
  hosts: () => null,
  noteView: async () => undefined,
  status: async () => ({ ...nothing, archive: folder, reconciledThrough: null, pendingCommits: null }),
  openIndex: async () => null,
  proofBundle: null,
  now: () => new Date(),
  log: openLog('error', process.stderr),
});
const { url } = await listenHttp({ app, host: '127.0.0.1', port: 0 });
process.stdout.write(`${JSON.stringify({ url, pid: process.pid })}\n`);
