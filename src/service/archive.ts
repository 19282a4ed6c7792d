import { openFolderStore } from '../store/folder/folder-object-store.ts';
import { listPassedOver } from '../store/folder/listing.ts';
import type { ObjectStore } from '../store/object-store.ts';
import type { ArchiveUrl, Config } from '../config.ts';

/** Opens the archive that the configuration names. */
export async function openArchive(
  config: Pick<Config, 's3' | 'proxies'>,
  archive: ArchiveUrl,
): Promise<ObjectStore> {
  if (archive.kind === 'folder') return openFolderStore({ folder: archive.folder });
  // The AWS SDK takes a fifth of a second to load, which a command on a folder does not wait for.
  const { openS3Store } = await import('../store/s3/s3-object-store.ts');
  const { proxyAgents } = await import('../store/s3/proxy.ts');
  const { forcePathStyle, lockMode, retentionDays, kmsKeyId, logStorageClass } = config.s3;
  const agents = proxyAgents(config.proxies);
  return openS3Store({
    ...(agents === undefined ? {} : { agents }),
    bucket: archive.bucket,
    prefix: archive.prefix,
    forcePathStyle,
    lockMode,
    ...(retentionDays === null ? {} : { retentionDays }),
    ...(kmsKeyId === null ? {} : { kmsKeyId }),
    ...(logStorageClass === null ? {} : { logStorageClass }),
  });
}

/** Paths below `v1/` in the folder of a bundle that are no objects, and that no digest can cover therefore. */
export function listBundleStrays(folder: string): AsyncIterable<string> {
  return listPassedOver(folder, 'v1/');
}
