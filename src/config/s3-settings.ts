import type { Variables } from './variables.ts';

/** How objects are written to a bucket. */
export interface S3Variables {
  readonly forcePathStyle: boolean;
  readonly lockMode: 'none' | 'GOVERNANCE' | 'COMPLIANCE' | 'bucket';
  readonly retentionDays: number | null;
  readonly kmsKeyId: string | null;
  readonly logStorageClass: string | null;
}

/** Reads what is to be said of a bucket. */
export function readS3(variables: Variables): S3Variables {
  const lockMode = variables.choice(
    'EVERLOG_LOCK_MODE',
    ['none', 'GOVERNANCE', 'COMPLIANCE', 'bucket'],
    'none',
  );
  const days = variables.whole('EVERLOG_RETENTION_DAYS', 0, { min: 1, max: 36_500 });
  if ((lockMode === 'GOVERNANCE' || lockMode === 'COMPLIANCE') && days === 0) {
    variables.problem('EVERLOG_RETENTION_DAYS', `is missing: EVERLOG_LOCK_MODE=${lockMode} needs it`);
  }
  return {
    forcePathStyle: variables.flag('EVERLOG_S3_FORCE_PATH_STYLE'),
    lockMode,
    retentionDays: days === 0 ? null : days,
    kmsKeyId: variables.text('EVERLOG_KMS_KEY_ID'),
    logStorageClass: variables.text('EVERLOG_LOG_STORAGE_CLASS'),
  };
}
