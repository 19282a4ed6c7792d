import { compareKeys, firstIndex, type Bucket, type ObjectVersion, type StoredContent } from './bucket.ts';
import {
  document,
  element,
  S3Error,
  textElement,
  uriEncode,
  xmlResponse,
  type S3Request,
  type S3Response,
} from './protocol.ts';

/** S3 gives at most this many entries in one page, whatever is asked for. */
const PAGE_MAX_ENTRIES = 1000;

type Entry = { key: string } | { commonPrefix: string };
/** Where a page begins: after a key, or after everything below a common prefix. */
type Position = { after: string } | { afterPrefix: string } | undefined;

interface Shape {
  prefix: string;
  delimiter: string;
  maxKeys: number;
  /** Escapes what a listing names when the client asked for it. */
  name: (text: string) => string;
  encodingType: string | undefined;
}

export function listObjects(bucket: Bucket, request: S3Request): S3Response {
  const shape = requestedShape(request);
  const token = request.query.get('continuation-token');
  const startAfter = request.query.get('start-after');
  const position =
    token === undefined ? (startAfter === undefined ? undefined : { after: startAfter }) : fromToken(token);
  const entries: string[] = [];
  let next: Position;
  let truncated = false;
  for (const entry of walk(bucket, shape, position, (key) => bucket.current(key) !== undefined)) {
    if (entries.length === shape.maxKeys) {
      truncated = shape.maxKeys > 0;
      break;
    }
    entries.push(
      'key' in entry ? objectElement(bucket, entry.key, shape) : prefixElement(entry.commonPrefix, shape),
    );
    next = 'key' in entry ? { after: entry.key } : { afterPrefix: entry.commonPrefix };
  }
  return xmlResponse(
    document(
      'ListBucketResult',
      ...shapeElements(bucket, shape),
      textElement('StartAfter', startAfter === undefined ? undefined : shape.name(startAfter)),
      textElement('ContinuationToken', token),
      textElement('KeyCount', entries.length),
      textElement('IsTruncated', truncated),
      textElement('NextContinuationToken', truncated ? toToken(next) : undefined),
      ...entries,
    ),
  );
}

export function listVersions(bucket: Bucket, request: S3Request): S3Response {
  const shape = requestedShape(request);
  const keyMarker = request.query.get('key-marker');
  const versionMarker = request.query.get('version-id-marker');
  const entries: string[] = [];
  let next: { key: string; id?: string } | undefined;
  const truncatedAnswer = (): S3Response => versionsAnswer(bucket, shape, request, entries, next);
  if (shape.maxKeys === 0) return versionsAnswer(bucket, shape, request, entries, undefined);
  // With a version marker the page goes on inside its key, so that key is walked again.
  const rest =
    keyMarker === undefined || versionMarker === undefined
      ? []
      : versionsAfter(bucket, keyMarker, versionMarker);
  for (const version of rest) {
    if (entries.length === shape.maxKeys) return truncatedAnswer();
    entries.push(versionElement(bucket, version, shape));
    next = { key: version.key, id: version.id };
  }
  for (const entry of walk(bucket, shape, markerPosition(keyMarker, shape), () => true)) {
    const versions = 'key' in entry ? bucket.versionsOf(entry.key).toReversed() : [undefined];
    for (const version of versions) {
      if (entries.length === shape.maxKeys) return truncatedAnswer();
      if (version !== undefined) {
        entries.push(versionElement(bucket, version, shape));
        next = { key: version.key, id: version.id };
      } else if ('commonPrefix' in entry) {
        entries.push(prefixElement(entry.commonPrefix, shape));
        next = { key: entry.commonPrefix };
      }
    }
  }
  return versionsAnswer(bucket, shape, request, entries, undefined);
}

/** Keys and common prefixes in order, from `position` on. Jumps over what a common prefix swallows. */
function* walk(
  bucket: Bucket,
  shape: Shape,
  position: Position,
  isListed: (key: string) => boolean,
): Generator<Entry> {
  const { keys } = bucket;
  const { prefix, delimiter } = shape;
  let index = firstIndex(keys, (key) => compareKeys(key, prefix) >= 0 && isPast(key, position));
  for (let key = keys[index]; key?.startsWith(prefix) === true; key = keys[index]) {
    const end = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
    if (!isListed(key)) {
      index += 1;
    } else if (end === -1) {
      yield { key };
      index += 1;
    } else {
      const commonPrefix = key.slice(0, end + delimiter.length);
      yield { commonPrefix };
      index = firstIndex(keys, (other) => isPast(other, { afterPrefix: commonPrefix }));
    }
  }
}

function isPast(key: string, position: Position): boolean {
  if (position === undefined) return true;
  if ('after' in position) return compareKeys(key, position.after) > 0;
  return compareKeys(key, position.afterPrefix) > 0 && !key.startsWith(position.afterPrefix);
}

function markerPosition(keyMarker: string | undefined, { prefix, delimiter }: Shape): Position {
  if (keyMarker === undefined) return undefined;
  const isCommonPrefix =
    delimiter !== '' && keyMarker.length > prefix.length && keyMarker.endsWith(delimiter);
  return isCommonPrefix ? { afterPrefix: keyMarker } : { after: keyMarker };
}

function versionsAfter(bucket: Bucket, key: string, versionId: string): ObjectVersion[] {
  const versions = bucket.versionsOf(key).toReversed();
  const index = versions.findIndex((version) => version.id === versionId);
  return index === -1 ? [] : versions.slice(index + 1);
}

function versionsAnswer(
  bucket: Bucket,
  shape: Shape,
  request: S3Request,
  entries: readonly string[],
  next: { key: string; id?: string } | undefined,
): S3Response {
  return xmlResponse(
    document(
      'ListVersionsResult',
      ...shapeElements(bucket, shape),
      textElement('KeyMarker', shape.name(request.query.get('key-marker') ?? '')),
      textElement('VersionIdMarker', request.query.get('version-id-marker') ?? ''),
      textElement('IsTruncated', next !== undefined),
      textElement('NextKeyMarker', next === undefined ? undefined : shape.name(next.key)),
      textElement('NextVersionIdMarker', next?.id),
      ...entries,
    ),
  );
}

function requestedShape(request: S3Request, limitName = 'max-keys'): Shape {
  const { query } = request;
  const asked = query.get(limitName);
  if (asked !== undefined && !/^\d+$/.test(asked)) {
    throw new S3Error('InvalidArgument', `${limitName} is not a number`);
  }
  const encodingType = query.get('encoding-type');
  if (encodingType !== undefined && encodingType !== 'url') {
    throw new S3Error('InvalidArgument', 'Invalid Encoding Method specified in Request');
  }
  return {
    prefix: query.get('prefix') ?? '',
    delimiter: query.get('delimiter') ?? '',
    maxKeys: Math.min(asked === undefined ? PAGE_MAX_ENTRIES : Number(asked), PAGE_MAX_ENTRIES),
    name: encodingType === 'url' ? encodeKey : (text) => text,
    encodingType,
  };
}

/** As S3 escapes keys in listings: slashes stay, and a space is a plus. */
function encodeKey(key: string): string {
  return key
    .split('/')
    .map((segment) => uriEncode(segment).replaceAll('%20', '+'))
    .join('/');
}

function shapeElements(bucket: Bucket, shape: Shape): string[] {
  return [
    textElement('Name', bucket.name),
    textElement('Prefix', shape.name(shape.prefix)),
    textElement('Delimiter', shape.delimiter === '' ? undefined : shape.name(shape.delimiter)),
    textElement('MaxKeys', shape.maxKeys),
    textElement('EncodingType', shape.encodingType),
  ];
}

function prefixElement(prefix: string, shape: Shape): string {
  return element('CommonPrefixes', textElement('Prefix', shape.name(prefix)));
}

function objectElement(bucket: Bucket, key: string, shape: Shape): string {
  const version = bucket.current(key);
  if (version === undefined) throw new Error(`a listed key has no object: ${key}`);
  return element(
    'Contents',
    textElement('Key', shape.name(key)),
    textElement('LastModified', new Date(version.modifiedMs).toISOString()),
    ...contentElements(version.content),
  );
}

function versionElement(bucket: Bucket, version: ObjectVersion, shape: Shape): string {
  return element(
    version.content === undefined ? 'DeleteMarker' : 'Version',
    textElement('Key', shape.name(version.key)),
    textElement('VersionId', version.id),
    textElement('IsLatest', bucket.newest(version.key) === version),
    textElement('LastModified', new Date(version.modifiedMs).toISOString()),
    ...(version.content === undefined ? [] : contentElements(version.content)),
  );
}

function contentElements(content: StoredContent): string[] {
  return [
    textElement('ETag', `"${content.etag}"`),
    ...Object.keys(content.checksums).map((algorithm) =>
      textElement('ChecksumAlgorithm', algorithm.toUpperCase()),
    ),
    textElement('Size', content.bytes.size),
    textElement('StorageClass', content.headers['x-amz-storage-class'] ?? 'STANDARD'),
  ];
}

function toToken(position: Position): string {
  return Buffer.from(JSON.stringify(position)).toString('base64url');
}

function fromToken(token: string): Position {
  const [, kind, text] =
    /^\{"(after|afterPrefix)":(".*")\}$/s.exec(Buffer.from(token, 'base64url').toString('utf8')) ?? [];
  const value: unknown = text === undefined ? undefined : JSON.parse(text);
  if (typeof value !== 'string') {
    throw new S3Error('InvalidArgument', 'The continuation token provided is incorrect');
  }
  return kind === 'after' ? { after: value } : { afterPrefix: value };
}
