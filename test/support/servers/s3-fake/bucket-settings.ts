import { receiveDocument } from './body.ts';
import type { Bucket, DefaultRetention } from './bucket.ts';
import { isLockMode, mayBypass, removeObject, type ServerState } from './objects.ts';
import {
  document,
  element,
  S3Error,
  textElement,
  xmlElements,
  xmlResponse,
  xmlText,
  type S3Request,
  type S3Response,
} from './protocol.ts';

/** S3's own limit for one request that deletes several objects. */
const DELETE_MAX_OBJECTS = 1000;

export function getVersioning(bucket: Bucket): S3Response {
  const status = bucket.versioning === 'Off' ? undefined : bucket.versioning;
  return xmlResponse(document('VersioningConfiguration', textElement('Status', status)));
}

export async function putVersioning(
  state: ServerState,
  bucket: Bucket,
  request: S3Request,
): Promise<S3Response> {
  const status = xmlText(await receiveDocument(request, state.bytes), 'Status');
  if (status !== 'Enabled' && status !== 'Suspended') {
    throw new S3Error('MalformedXML', 'Versioning is Enabled or Suspended');
  }
  if (status === 'Suspended' && bucket.objectLock) {
    throw new S3Error('InvalidBucketState', 'An Object Lock configuration is present on this bucket');
  }
  bucket.versioning = status;
  return { status: 200 };
}

export function getObjectLock(bucket: Bucket): S3Response {
  if (!bucket.objectLock) {
    throw new S3Error(
      'ObjectLockConfigurationNotFoundError',
      'Object Lock configuration does not exist for this bucket',
    );
  }
  const rule = bucket.defaultRetention;
  return xmlResponse(
    document(
      'ObjectLockConfiguration',
      textElement('ObjectLockEnabled', 'Enabled'),
      rule === undefined
        ? ''
        : element(
            'Rule',
            element('DefaultRetention', textElement('Mode', rule.mode), textElement(rule.unit, rule.count)),
          ),
    ),
  );
}

export async function putObjectLock(
  state: ServerState,
  bucket: Bucket,
  request: S3Request,
): Promise<S3Response> {
  const xml = await receiveDocument(request, state.bytes);
  if (xmlText(xml, 'ObjectLockEnabled') !== 'Enabled') {
    throw new S3Error('MalformedXML', 'Object Lock can only be Enabled');
  }
  if (bucket.versioning !== 'Enabled') {
    throw new S3Error('InvalidBucketState', 'Versioning must be Enabled on the bucket for Object Lock');
  }
  const [rule] = xmlElements(xml, 'DefaultRetention');
  bucket.defaultRetention = rule === undefined ? undefined : defaultRetention(rule);
  bucket.objectLock = true;
  return { status: 200 };
}

function defaultRetention(xml: string): DefaultRetention {
  const mode = xmlText(xml, 'Mode');
  const days = xmlText(xml, 'Days');
  const years = xmlText(xml, 'Years');
  const count = Number(days ?? years);
  const isWellFormed = (days === undefined) !== (years === undefined) && Number.isInteger(count) && count > 0;
  if (!isLockMode(mode) || !isWellFormed) {
    throw new S3Error('MalformedXML', 'A default retention needs a mode and either days or years');
  }
  return { mode, count, unit: days === undefined ? 'Years' : 'Days' };
}

/** Deletes several objects; each fails or succeeds by itself. */
export async function deleteObjects(
  state: ServerState,
  bucket: Bucket,
  request: S3Request,
): Promise<S3Response> {
  const xml = await receiveDocument(request, state.bytes);
  const objects = xmlElements(xml, 'Object');
  if (objects.length === 0 || objects.length > DELETE_MAX_OBJECTS) {
    throw new S3Error('MalformedXML', `Between 1 and ${DELETE_MAX_OBJECTS} objects can be deleted at once`);
  }
  const quiet = xmlText(xml, 'Quiet') === 'true';
  const results = objects.map((object) => {
    const key = xmlText(object, 'Key') ?? '';
    const versionId = xmlText(object, 'VersionId');
    const names = [textElement('Key', key), textElement('VersionId', versionId)];
    try {
      const headers = removeObject(state, bucket, key, versionId, mayBypass(request));
      if (quiet) return '';
      const marker = headers['x-amz-delete-marker'];
      return element(
        'Deleted',
        ...names,
        textElement('DeleteMarker', marker),
        textElement('DeleteMarkerVersionId', marker === undefined ? undefined : headers['x-amz-version-id']),
      );
    } catch (error) {
      if (!(error instanceof S3Error)) throw error;
      return element(
        'Error',
        ...names,
        textElement('Code', error.code),
        textElement('Message', error.message),
      );
    }
  });
  return xmlResponse(document('DeleteResult', ...results));
}
