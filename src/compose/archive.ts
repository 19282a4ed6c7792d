import { openFolderStore } from '../archive/folder-object-store.ts';
import type { ObjectStore } from '../archive/object-store.ts';
import { openS3Store } from '../archive/s3-object-store.ts';
import { proxyAgents } from '../archive/s3-proxy.ts';
import type { ArchiveUrl, Config } from '../config.ts';

/** Opens the archive that the configuration names. */
export async function openArchive(
  config: Pick<Config, 's3' | 'proxies'>,
  archive: ArchiveUrl,
): Promise<ObjectStore> {
  if (archive.kind === 'folder') return openFolderStore({ folder: archive.folder });
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
