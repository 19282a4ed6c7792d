import { resolve } from 'node:path';

/** Where an archive is: a folder, or a bucket and a prefix. */
export type ArchiveUrl =
  | { readonly kind: 'folder'; readonly folder: string }
  | { readonly kind: 's3'; readonly bucket: string; readonly prefix: string };

export const ARCHIVE_URL_FORM = 's3://BUCKET/PREFIX, file:FOLDER or a folder';

/** Parses an archive's address; null when it is none. */
export function parseArchiveUrl(text: string): ArchiveUrl | null {
  const [, bucket, prefix = ''] = /^s3:\/\/([a-z0-9][a-z0-9._-]{1,254})(?:\/(.*))?$/i.exec(text) ?? [];
  if (bucket !== undefined) return { kind: 's3', bucket, prefix: prefix.replace(/^\/+|\/+$/g, '') };
  if (text.startsWith('s3:')) return null;
  if (text.startsWith('file://'))
    return URL.canParse(text) ? { kind: 'folder', folder: decodeURIComponent(new URL(text).pathname) } : null;
  const folder = text.startsWith('file:') ? text.slice('file:'.length) : text;
  return folder === '' || /^[a-z][a-z0-9+.-]+:/i.test(folder) ? null : { kind: 'folder', folder };
}

/** An archive's address in one form, however it was written: what a queue that belongs to it is marked with. */
export function archiveIdentity(archive: ArchiveUrl): string {
  if (archive.kind === 'folder') return `file:${resolve(archive.folder)}`;
  return archive.prefix === '' ? `s3://${archive.bucket}` : `s3://${archive.bucket}/${archive.prefix}`;
}
