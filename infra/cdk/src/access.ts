/**
 * What each role may do in the archive, as data: the policies are made from it, and so is the table of docs/aws.md.
 * Keys are those of the contract's archive layout, below the archive's prefix.
 */

export const ROLES = ['receiver', 'archive', 'upkeep', 'seal', 'web', 'auditor', 'break-glass'] as const;
export type Role = (typeof ROLES)[number];

/** One right: actions on objects below some prefixes, or on the bucket itself. */
export interface Grant {
  readonly sid: string;
  readonly actions: readonly string[];
  /** Prefixes of keys; null: the bucket. */
  readonly keys: readonly string[] | null;
  /** Why it takes all below a prefix. */
  readonly why: string;
}

/**
 * A key that is missing is told from one that is forbidden only to whoever may list the bucket, and AWS does not look at a prefix
 * there: so this right has no condition. It shows names, never bytes.
 */
const FIND: Grant = {
  sid: 'Find',
  actions: ['s3:ListBucket', 's3:GetBucketVersioning'],
  keys: null,
  why: 'finds objects by their keys, and learns whether the bucket keeps versions',
};
const LOOK: Grant = {
  sid: 'LookAtVersionsAndLocks',
  actions: ['s3:ListBucketVersions', 's3:GetBucketObjectLockConfiguration'],
  keys: null,
  why: 'an older version that a newer one hides is a finding',
};

function read(...keys: readonly string[]): Grant {
  return {
    sid: 'Read',
    actions: ['s3:GetObject', 's3:GetObjectVersion'],
    keys,
    why: 'reads what stands there, whichever repository, day or run it is of',
  };
}

/** To write with a lock takes the right to set one on what is written; to shorten one takes break-glass. */
function create(...keys: readonly string[]): Grant {
  return {
    sid: 'Create',
    actions: ['s3:PutObject', 's3:PutObjectRetention'],
    keys,
    why: 'stores objects whose names follow from jobs, runs and digests to come; the bucket refuses to replace one',
  };
}

/** What a writer stores and reads once to learn what the bucket does with a second object of a name, and which archive it is. */
const PROBE: Grant = {
  sid: 'Probe',
  actions: ['s3:PutObject', 's3:PutObjectRetention', 's3:GetObject'],
  keys: ['probe/', 'index/probe/'],
  why: 'learns whether the bucket refuses a second object of a name; no evidence stands there',
};

const LOCKS: Grant = {
  sid: 'ReadLocks',
  actions: ['s3:GetObjectRetention', 's3:GetObjectLegalHold'],
  keys: ['v1/', 'ledger/'],
  why: 'sees how long a version is locked',
};

const EVERYTHING = ['v1/', 'ledger/', 'index/'];

export const GRANTS: Readonly<Record<Role, readonly Grant[]>> = {
  // It adds to the queue, and knows of no archive.
  receiver: [],
  // The end of the ledger tells it whether the archive still takes anything, the index's mark whether anybody reads what it tells.
  archive: [
    FIND,
    read('v1/', 'ledger/digests/', 'index/through/'),
    create('v1/logs/', 'v1/records/', 'v1/names/', 'index/recent/'),
    PROBE,
  ],
  upkeep: [
    FIND,
    read(...EVERYTHING),
    create('v1/runs/', 'v1/records/', 'v1/names/', 'index/'),
    {
      sid: 'MergeIndex',
      actions: ['s3:DeleteObjectVersion'],
      keys: ['index/'],
      why: 'merged parts of the index go; all of it can be made again',
    },
    PROBE,
  ],
  // It signs what the store says, not what a worker says, and writes nothing else.
  seal: [FIND, read('v1/', 'ledger/'), create('ledger/'), PROBE],
  // Who looked at a log is written down before the first byte.
  web: [FIND, read(...EVERYTHING), create('v1/custody/'), PROBE],
  // Exports are written down as well.
  auditor: [FIND, LOOK, read(...EVERYTHING), LOCKS, create('v1/custody/'), PROBE],
  'break-glass': [
    FIND,
    LOOK,
    read(...EVERYTHING),
    LOCKS,
    create('v1/records/', 'v1/runs/', 'v1/custody/'),
    {
      sid: 'Hold',
      actions: ['s3:PutObjectLegalHold'],
      keys: ['v1/'],
      why: 'a case may hold any job',
    },
    {
      sid: 'Remove',
      actions: ['s3:DeleteObjectVersion', 's3:BypassGovernanceRetention'],
      keys: ['v1/logs/', 'v1/records/', 'v1/runs/'],
      why: 'purge and expire remove what has to go, with evidence; never the ledger, nor what custody says',
    },
    PROBE,
  ],
};

/** What each role asks of the keys in KMS: `data` encrypts the archive, `signing` signs the ledger. */
export const KEY_USE: Readonly<
  Record<Role, { readonly data: readonly string[]; readonly signing: readonly string[] }>
> = {
  receiver: { data: [], signing: [] },
  archive: { data: ['kms:Decrypt', 'kms:GenerateDataKey'], signing: [] },
  upkeep: { data: ['kms:Decrypt', 'kms:GenerateDataKey'], signing: [] },
  seal: { data: ['kms:Decrypt', 'kms:GenerateDataKey'], signing: ['kms:GetPublicKey', 'kms:Sign'] },
  web: { data: ['kms:Decrypt', 'kms:GenerateDataKey'], signing: [] },
  auditor: { data: ['kms:Decrypt', 'kms:GenerateDataKey'], signing: ['kms:GetPublicKey'] },
  'break-glass': { data: ['kms:Decrypt', 'kms:GenerateDataKey'], signing: [] },
};
