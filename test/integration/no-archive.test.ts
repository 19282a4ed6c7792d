import { existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ArchiveUrl } from '../../src/config.ts';
import { openStandingArchive } from '../../src/service/standing-archive.ts';
import { openFolderStore } from '../../src/store/folder/folder-object-store.ts';
import { openS3Store } from '../../src/store/s3/s3-object-store.ts';
import { openStage } from '../support/harness/everlog-under-test.ts';
import { spawnEverlog } from '../support/processes/processes.ts';
import { startS3Fake, type S3Fake } from '../support/servers/s3-fake/s3-fake.ts';
import { put } from '../support/oracles/archived-jobs.ts';

/** A place that is no archive is never taken for an empty one, nor a page for a listing of nothing. */
const stage = openStage();
afterAll(async () => stage.close());

const CONFIG = {
  proxies: { httpProxy: null, httpsProxy: null, noProxy: null },
  s3: { forcePathStyle: true, lockMode: 'none', retentionDays: null, kmsKeyId: null, logStorageClass: null },
} as const;

async function openingAt(url: ArchiveUrl): Promise<string> {
  try {
    const store = await openStandingArchive(CONFIG, url);
    await store.close();
    return 'an archive';
  } catch (error) {
    return error instanceof Error && 'code' in error
      ? `${String(error.code)}: ${error.message}`
      : String(error);
  }
}

/** A folder archive with one object. */
async function archiveIn(folder: string, key: string): Promise<void> {
  const store = await openFolderStore({ folder });
  await put(store, key, Buffer.from('{}'));
  await store.close();
}

const NAME = 'v1/names/host=github.com/owner=o/repo=r/1.json';

describe('a folder', () => {
  const folderAt = (folder: string): Promise<string> => openingAt({ kind: 'folder', folder });

  test('with nothing but the name of a repository is an archive', async () => {
    const folder = stage.folder();
    await archiveIn(folder, NAME);
    expect(await folderAt(folder)).toBe('an archive');
  });

  test('that a service made and stored nothing in yet is an archive; with other things beside it is none', async () => {
    const folder = join(stage.folder(), 'a');
    const store = await openFolderStore({ folder });
    await store.abilities();
    await store.close();
    mkdirSync(join(folder, 'probe'));
    expect(await folderAt(folder)).toBe('an archive');
    mkdirSync(join(folder, 'photos'));
    expect(await folderAt(folder)).toMatch(/^not_found: there is no Everlog archive at file:/);
  });

  test('that is missing or empty is none', async () => {
    const folder = stage.folder();
    expect(await folderAt(join(folder, 'none'))).toContain('(no such folder there)');
    expect(await folderAt(folder)).toContain('(no records there)');
    expect(readdirSync(folder)).toEqual([]);
  });

  test('above, below or beside an archive is none, and the archive is named', async () => {
    const folder = stage.folder();
    const archive = join(folder, 'data/archive');
    await archiveIn(archive, 'v1/records/host=github.com/owner=o/repo=r/1/1/1.json');
    mkdirSync(join(folder, 'data/other'));
    for (const place of ['data', 'data/other', 'data/archiv', 'data/archive/v1', 'data/archive/v1/records']) {
      expect(await folderAt(join(folder, place))).toContain(`there is one at file:${archive}:`);
    }
  });

  test('loses nothing by being looked at', async () => {
    const folder = stage.folder();
    const foreign = join(folder, '.tmp', 'somebody-elses.txt');
    const long = new Date(Date.now() - 30 * 86_400_000);
    mkdirSync(join(folder, '.tmp'));
    writeFileSync(foreign, 'x');
    utimesSync(foreign, long, long);
    await folderAt(folder);
    expect(existsSync(foreign)).toBe(true);
  });
});

describe('a bucket', () => {
  let fake: S3Fake;
  const open = (prefix: string): ReturnType<typeof openS3Store> =>
    openS3Store({
      bucket: 'bucket',
      prefix,
      forcePathStyle: true,
      endpoint: fake.endpoint,
      credentials: { accessKeyId: fake.accessKeyId, secretAccessKey: fake.secretAccessKey },
    });
  const at = (prefix: string): Promise<string> => openingAt({ kind: 's3', bucket: 'bucket', prefix });

  beforeAll(async () => {
    fake = await startS3Fake();
    stage.defer(() => fake.stop());
    await fake.createBucket('bucket', {});
    for (const [name, value] of Object.entries({
      AWS_ENDPOINT_URL_S3: fake.endpoint,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: fake.accessKeyId,
      AWS_SECRET_ACCESS_KEY: fake.secretAccessKey,
    })) {
      process.env[name] = value;
      stage.defer(() => {
        delete process.env[name];
        return undefined;
      });
    }
  });

  test('is an archive from the first probe on', async () => {
    expect(await at('fresh')).toMatch(/^not_found: /);
    const store = open('fresh');
    await store.abilities();
    await store.close();
    expect(await at('fresh')).toBe('an archive');
  });

  test('above, below or beside an archive is none, and the archive is named', async () => {
    const store = open('team/everlog');
    await put(store, 'ledger/keys/x.json', Buffer.from('{}'));
    await store.close();
    for (const prefix of ['team', 'team/everlog/ledger', 'team/everlogs'])
      expect(await at(prefix)).toContain('there is one at s3://bucket/team/everlog:');
  });
});

describe('what is no S3 endpoint', () => {
  const PAGES: readonly (readonly [string, string])[] = [
    ['a console', '<!DOCTYPE html><html><head><title>Console</title></head><body><p>hi</body></html>'],
    ['a page that is XML', '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"/>'],
    ['nothing', ''],
    ['JSON', '{"Contents":[]}'],
    ['a listing of the wrong kind', '<ListAllMyBucketsResult></ListAllMyBucketsResult>'],
  ];

  async function pageServer(body: string): Promise<string> {
    const server: Server = createServer((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/html' }).end(body);
    });
    stage.defer(() => {
      server.close().closeAllConnections();
      return undefined;
    });
    await new Promise<void>((ready) => void server.listen(0, '127.0.0.1', ready));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port was given');
    return `http://127.0.0.1:${address.port}`;
  }

  test.each(PAGES)(
    '%s is told from an empty listing, of objects, versions and the time alike',
    async (_, body) => {
      const store = openS3Store({
        bucket: 'b',
        prefix: '',
        forcePathStyle: true,
        endpoint: await pageServer(body),
        credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
        random: () => 0,
      });
      const asked = {
        list: async () => store.list('v1/')[Symbol.asyncIterator]().next(),
        versions: async () => store.listVersions('v1/')[Symbol.asyncIterator]().next(),
        ping: async () => store.ping(),
        clock: async () => store.clock(),
      };
      await Promise.all(
        Object.values(asked).map((ask) =>
          expect(ask()).rejects.toMatchObject({
            code: 'store_unavailable',
            message: expect.stringContaining('this is not an S3 endpoint'),
          }),
        ),
      );
      await store.close();
    },
  );

  test('ends a command with 1', async () => {
    const child = spawnEverlog(['ls'], {
      EVERLOG_ARCHIVE_URL: 's3://bucket/p',
      EVERLOG_S3_FORCE_PATH_STYLE: 'true',
      AWS_ENDPOINT_URL_S3: await pageServer('<html></html>'),
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'a',
      AWS_SECRET_ACCESS_KEY: 'b',
    });
    expect(await child.exited).toEqual({ code: 1, signal: null });
    expect(child.stderr()).toContain('this is not an S3 endpoint');
  });
});

/** Each needs the archive alone. */
const READING: readonly (readonly string[])[] = [
  ['ls'],
  ['cat', '1'],
  ['grep', 'x'],
  ['failures'],
  ['stats'],
  ['export', '--out', 'bundle'],
  ['hold', 'ls'],
  ['keys', 'ls'],
  ['expire', '--older-than', '400d', '--dry-run'],
  ['purge', '--job', '1', '--reason', 'r', '--dry-run'],
  ['index', 'status'],
  ['verify'],
  ['status'],
];
const QUEUE: readonly (readonly string[])[] = [
  ['failed', 'ls'],
  ['failed', 'drop', '1', '--reason', 'r'],
  ['hold', 'add', '--all', '--case', 'c'],
  ['verify', '--record'],
];

test.each([...READING, ...QUEUE].map((command) => ({ command, line: command.join(' ') })))(
  '`everlog $line` in an empty folder ends with 3, says what is missing, and makes nothing',
  async ({ command, line }) => {
    const cwd = stage.folder();
    const child = spawnEverlog(command, {}, { cwd });
    expect((await child.exited).code).toBe(3);
    const needsQueue = QUEUE.some((other) => other.join(' ') === line);
    expect(child.stdout() + child.stderr()).toContain(
      needsQueue ? `it would be in ${join(cwd, 'data/queue')}` : 'there is no Everlog archive at file:',
    );
    expect(readdirSync(cwd)).toEqual([]);
  },
);

test('`everlog doctor` in an empty folder says where the queue would be, and begins none', async () => {
  const cwd = stage.folder();
  const child = spawnEverlog(
    [
      'doctor',
      ...['configuration', 'machine', 'archive', 'ledger', 'github'].flatMap((area) => ['--skip', area]),
    ],
    {},
    { cwd },
  );
  await child.exited;
  expect(child.stdout() + child.stderr()).toContain(join(cwd, 'data/queue'));
  expect(existsSync(join(cwd, 'data/queue'))).toBe(false);
});
