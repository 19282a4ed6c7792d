import { readFile, realpath, stat } from 'node:fs/promises';
import { isAbsolute, relative, resolve, sep } from 'node:path';
import type { ArchiveUrl, Config } from '../../config.ts';
import { parseArchiveUrl } from '../../config/archive-url.ts';
import { giveUp } from '../../errors.ts';
import type { AnchorSource } from '../../ledger/verify/chain/anchor.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { archiveNamed } from '../read/with-archive.ts';
import type { VerifyCommandOptions } from './verify-options.ts';

/** The places that `everlog verify` is about: what is to be verified, and what vouches for it from outside. */

/**
 * The archive or bundle to verify.
 * @throws EverlogError `usage`
 */
export function placeToVerify({ archive, bundle, record }: VerifyCommandOptions, config: Config): ArchiveUrl {
  if (bundle !== undefined) return { kind: 'folder', folder: bundle };
  const parsed = archiveNamed(archive, config);
  if (record === true && JSON.stringify(parsed) !== JSON.stringify(config.archive)) {
    throw giveUp(
      'usage',
      '--record needs the archive of EVERLOG_ARCHIVE_URL: only its sealer would seal what is recorded',
    );
  }
  return parsed;
}

/**
 * What vouches for the tail from outside. A file is a note or a digest that somebody kept; everything else is a place with copies.
 * A bundle's check stays offline unless told otherwise.
 * @throws EverlogError `usage` for what is no anchor, also because it stands in what it is to vouch for
 */
export async function openAnchorSource(
  { anchor, bundle }: VerifyCommandOptions,
  config: Config,
  place: ArchiveUrl,
  open: (url: ArchiveUrl) => Promise<ObjectStore>,
): Promise<AnchorSource | null> {
  if (anchor === undefined) {
    const configured = bundle === undefined ? config.sealing.anchor : null;
    if (configured === null) return null;
    await demandOutside('EVERLOG_ANCHOR_URL', configured, place);
    return { kind: 'store', store: await open(configured) };
  }
  const url = parseArchiveUrl(anchor);
  const cure = 'give a note or digest.json, a folder, file:FOLDER or s3://BUCKET/PREFIX';
  if (url === null) throw giveUp('usage', `--anchor is no place that can be read: ${cure}`);
  await demandOutside('--anchor', url, place);
  if (url.kind === 's3') return { kind: 'store', store: await open(url) };
  const found = await stat(url.folder).catch(() => null);
  if (found === null) throw giveUp('usage', `--anchor: there is nothing at ${url.folder}: ${cure}`);
  if (found.isDirectory()) return { kind: 'store', store: await open(url) };
  if (found.size > ANCHOR_BYTES_MAX)
    throw giveUp('usage', `--anchor: ${url.folder} is too large for a note: ${cure}`);
  return { kind: 'file', name: url.folder, bytes: await readFile(url.folder) };
}

/** Whoever can change the archive can change what stands in it. */
async function demandOutside(option: string, anchor: ArchiveUrl, place: ArchiveUrl): Promise<void> {
  if (!(await isInside(anchor, place))) return;
  const cure = 'give a copy that is kept elsewhere, out of reach of those who can write to the archive';
  throw giveUp('usage', `${option} is in what it is to vouch for, so it vouches for nothing: ${cure}`);
}

async function isInside(inner: ArchiveUrl, outer: ArchiveUrl): Promise<boolean> {
  if (inner.kind === 's3' && outer.kind === 's3') {
    const [prefix, whole] = [`${inner.prefix}/`, outer.prefix === '' ? '' : `${outer.prefix}/`];
    return inner.bucket === outer.bucket && prefix.startsWith(whole);
  }
  if (inner.kind !== 'folder' || outer.kind !== 'folder') return false;
  const way = relative(await realFolder(outer.folder), await realFolder(inner.folder));
  return way === '' || !(way === '..' || way.startsWith(`..${sep}`) || isAbsolute(way));
}

async function realFolder(folder: string): Promise<string> {
  return realpath(folder).catch(() => resolve(folder));
}

/** Notes measure a few hundred bytes, digests up to 4,096. */
const ANCHOR_BYTES_MAX = 64 * 1024;
