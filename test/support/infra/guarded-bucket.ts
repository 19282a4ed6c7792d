import type { S3FakeOptions } from '../servers/s3-fake/s3-fake.ts';
import { document, textElement, type S3Request, type S3Response } from '../servers/s3-fake/protocol.ts';
import { judge, type Policies } from './access-policy.ts';

const DAY_MS = 24 * 60 * 60_000;

/** A user of a guarded bucket and what was refused them. */
export interface BucketUser {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** By which policies name them. */
  readonly principal: string;
  readonly policies: Policies;
}

/** What one role asked of the bucket, as `action key`; ids in keys stand as they came. */
export interface AskedAccess {
  readonly principal: string;
  readonly action: string;
  readonly key: string;
  readonly isAllowed: boolean;
}

/**
 * Makes the S3 server refuse what a user's policies do not allow, as AWS would, and writes down what was asked.
 * Whoever is no user passes: the test itself.
 */
export function guarded(users: readonly BucketUser[], asked: AskedAccess[]): S3FakeOptions {
  return {
    users,
    around: async (request, serve) => {
      const id = /Credential=([^/]+)\//.exec(request.headers['authorization'] ?? '')?.[1];
      const user = users.find(({ accessKeyId }) => accessKeyId === id);
      if (user === undefined) return serve();
      for (const action of actionsOf(request)) {
        const { principal, policies } = user;
        const resource = `arn:aws:s3:::${request.bucket}${request.key === '' ? '' : `/${request.key}`}`;
        const judgement = judge(
          { principal, action, resource, context: contextOf(request, principal) },
          policies,
        );
        asked.push({ principal, action, key: request.key, isAllowed: judgement === 'allowed' });
        if (judgement !== 'allowed') return refusal(action);
      }
      return serve();
    },
  };
}

/** The rights that AWS asks for a request, all of which it takes. */
function actionsOf({ method, key, query, headers }: S3Request): readonly string[] {
  const versioned = query.has('versionId') ? 'Version' : '';
  const subresource = ['retention', 'legal-hold', 'versioning', 'versions', 'object-lock'].find((name) =>
    query.has(name),
  );
  const name = [method, key === '' ? 'bucket' : 'object', subresource].filter(Boolean).join(' ');
  switch (name) {
    case 'GET bucket':
      return ['s3:ListBucket'];
    case 'GET bucket versions':
      return ['s3:ListBucketVersions'];
    case 'GET bucket versioning':
      return ['s3:GetBucketVersioning'];
    case 'GET bucket object-lock':
      return ['s3:GetBucketObjectLockConfiguration'];
    case 'GET object':
    case 'HEAD object':
      return [`s3:GetObject${versioned}`];
    case 'GET object retention':
      return ['s3:GetObjectRetention'];
    case 'GET object legal-hold':
      return ['s3:GetObjectLegalHold'];
    case 'PUT object legal-hold':
      return ['s3:PutObjectLegalHold'];
    case 'PUT object':
      return [
        's3:PutObject',
        ...('x-amz-object-lock-mode' in headers ? ['s3:PutObjectRetention'] : []),
        ...('x-amz-object-lock-legal-hold' in headers ? ['s3:PutObjectLegalHold'] : []),
      ];
    case 'DELETE object':
      return [
        `s3:DeleteObject${versioned}`,
        ...('x-amz-bypass-governance-retention' in headers ? ['s3:BypassGovernanceRetention'] : []),
      ];
    default:
      throw new Error(`which right does "${name}" take?`);
  }
}

function contextOf({ headers, query }: S3Request, principal: string): Record<string, string> {
  const given: Readonly<Record<string, string | undefined>> = {
    'aws:principalarn': principal,
    // The policies are those of a bucket that is reached by TLS, which this server does without.
    'aws:securetransport': 'true',
    's3:if-none-match': headers['if-none-match'],
    's3:prefix': query.get('prefix'),
    's3:object-lock-mode': headers['x-amz-object-lock-mode'],
    's3:object-lock-remaining-retention-days': remainingDays(headers['x-amz-object-lock-retain-until-date']),
    's3:x-amz-server-side-encryption': headers['x-amz-server-side-encryption'],
    's3:x-amz-server-side-encryption-aws-kms-key-id': headers['x-amz-server-side-encryption-aws-kms-key-id'],
  };
  return Object.fromEntries(
    Object.entries(given).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])),
  );
}

/** Begun days count: a lock of 400 days by a clock that is ahead is one of 401. */
function remainingDays(until: string | undefined): string | undefined {
  return until === undefined ? undefined : String(Math.ceil((Date.parse(until) - Date.now()) / DAY_MS));
}

function refusal(action: string): S3Response {
  const message = `not authorized to perform: ${action}`;
  return {
    status: 403,
    headers: { 'content-type': 'application/xml' },
    body: document('Error', textElement('Code', 'AccessDenied'), textElement('Message', message)),
  };
}
