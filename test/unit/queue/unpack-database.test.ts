import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { dataDir } from '@electric-sql/pglite-prepopulatedfs';
import { expect, onTestFinished, test } from 'vitest';
import { unpackDatabase } from '../../../src/queue/embedded/unpack-database.ts';

async function emptyFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'everlog-unpack-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

function member(name: string, kind: string, content = ''): Buffer {
  const block = Buffer.alloc(512);
  block.write(name, 0);
  block.write(content.length.toString(8).padStart(11, '0'), 124);
  block.write(kind, 156);
  const padded = Buffer.alloc(Math.ceil(content.length / 512) * 512);
  padded.write(content);
  return Buffer.concat([block, padded]);
}

const END = Buffer.alloc(1024);
const packed = (...parts: readonly Buffer[]): Blob => new Blob([gzipSync(Buffer.concat(parts))]);

test('folders and files of every length are there, for nobody else to read', async () => {
  const folder = await emptyFolder();
  const texts = { empty: '', short: 'a', block: 'b'.repeat(512), longer: 'c'.repeat(1_025) };
  const files = Object.entries(texts).map(([name, text]) => member(`/in/${name}`, '0', text));
  await unpackDatabase(packed(member('/in', '5'), ...files, END), folder);
  for (const [name, text] of Object.entries(texts))
    expect(await readFile(join(folder, 'in', name), 'latin1')).toBe(text);
  expect((await stat(join(folder, 'in'))).mode & 0o777).toBe(0o700);
  expect((await stat(join(folder, 'in', 'short'))).mode & 0o777).toBe(0o600);
});

test('what comes with PGlite is such an archive', async () => {
  const folder = await emptyFolder();
  await unpackDatabase(await dataDir(), folder);
  expect(await readFile(join(folder, 'PG_VERSION'), 'utf8')).toBe('18\n');
  expect((await readdir(folder, { recursive: true })).length).toBeGreaterThan(900);
});

test.each([
  ['one that is cut short', [member('in', '0', 'a'.repeat(600)).subarray(0, 700)], 'cut short'],
  ['one without an end', [member('in', '5')], 'cut short'],
  ['a link', [member('in', '2'), END], 'neither file nor folder'],
])('%s is refused', async (_what, parts, words) => {
  await expect(unpackDatabase(packed(...parts), await emptyFolder())).rejects.toThrow(words);
});
