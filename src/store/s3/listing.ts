import { ListObjectVersionsCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import type { DeleteMarkerEntry, ListObjectVersionsCommandOutput, ObjectVersion } from '@aws-sdk/client-s3';
import { parseXML } from '@aws-sdk/xml-builder';
import { z } from 'zod';
import { giveUp, retryable } from '../../errors.ts';
import { compareKeys } from '../object-key.ts';
import type { ListedObject, ListedVersion } from '../object-store.ts';
import { call } from './context.ts';
import { demandListing, watchListing } from './listing-answer.ts';
import type { S3Context } from './context.ts';
import { versionIdOf } from './upload.ts';

/** The most S3 gives at once. */
const PAGE_KEYS = 1000;

/** Objects below the archive's prefix, page by page; each page continues after the last key, so none can be served twice for ever. */
export async function* listObjects(
  context: S3Context,
  prefix: string,
  startAfter: string,
): AsyncGenerator<ListedObject> {
  const Prefix = context.prefix + prefix;
  let after = startAfter === '' ? '' : context.prefix + startAfter;
  for (;;) {
    const page = await call(context, `listing ${Prefix}`, (signal) =>
      listPage(context, Prefix, after, signal),
    );
    for (const { Key, Size, LastModified } of page.Contents ?? []) {
      if (Key === undefined || Size === undefined || LastModified === undefined) throw incomplete(context);
      if (compareKeys(Key, after) <= 0) throw outOfOrder(context, Key);
      after = Key;
      yield { key: Key.slice(context.prefix.length), bytes: Size, lastModified: LastModified };
    }
    if (page.IsTruncated === undefined) throw incomplete(context);
    if (!page.IsTruncated) return;
    if (page.Contents === undefined || page.Contents.length === 0) throw incomplete(context);
  }
}

interface ListingPage {
  readonly Contents?: readonly ListedEntry[] | undefined;
  readonly IsTruncated?: boolean | undefined;
}

interface ListedEntry {
  readonly Key?: string | undefined;
  readonly Size?: number | undefined;
  readonly LastModified?: Date | undefined;
}

async function listPage(
  context: S3Context,
  Prefix: string,
  after: string,
  abortSignal: AbortSignal,
): Promise<ListingPage> {
  if (context.direct.isReady()) return listDirectly(context, Prefix, after, abortSignal);
  const StartAfter = after === '' ? {} : { StartAfter: after };
  const command = new ListObjectsV2Command({
    Bucket: context.bucket,
    Prefix,
    MaxKeys: PAGE_KEYS,
    ...StartAfter,
  });
  watchListing(command, context.location, 'ListBucketResult');
  return context.client.send(command, { abortSignal });
}

const pageSchema = z.object({
  ListBucketResult: z.object({
    IsTruncated: z.enum(['true', 'false']),
    Contents: z.preprocess(
      (found) => (found === undefined || Array.isArray(found) ? (found ?? []) : [found]),
      z.array(
        z.object({
          Key: z.string(),
          Size: z.string().regex(/^\d+$/),
          LastModified: z.iso.datetime({ offset: true }),
        }),
      ),
    ),
  }),
});

/** The same request as the command's: every job looks for its record before it does anything. */
async function listDirectly(
  context: S3Context,
  prefix: string,
  after: string,
  signal: AbortSignal,
): Promise<ListingPage> {
  const query = {
    'list-type': '2',
    'max-keys': String(PAGE_KEYS),
    prefix,
    ...(after === '' ? {} : { 'start-after': after }),
  };
  const { text } = await context.direct.send({ method: 'GET', path: '', query }, signal);
  demandListing(context.location, 'ListBucketResult', text);
  const page = pageSchema.safeParse(xmlOf(text));
  if (!page.success) throw incomplete(context);
  const { IsTruncated, Contents } = page.data.ListBucketResult;
  return {
    IsTruncated: IsTruncated === 'true',
    Contents: Contents.map(({ Key, Size, LastModified }) => ({
      Key,
      Size: Number(Size),
      LastModified: new Date(LastModified),
    })),
  };
}

function xmlOf(text: string): unknown {
  try {
    return parseXML(text);
  } catch {
    return null;
  }
}

/** Versions and delete markers below the archive's prefix, newest first within a key. */
export async function* listObjectVersions(context: S3Context, prefix: string): AsyncGenerator<ListedVersion> {
  const Prefix = context.prefix + prefix;
  let marker: { KeyMarker?: string; VersionIdMarker?: string } = {};
  for (;;) {
    const page = await call(context, `listing versions of ${Prefix}`, (abortSignal) => {
      const command = new ListObjectVersionsCommand({
        Bucket: context.bucket,
        Prefix,
        MaxKeys: PAGE_KEYS,
        ...marker,
      });
      watchListing(command, context.location, 'ListVersionsResult');
      return context.client.send(command, { abortSignal });
    });
    if (page.IsTruncated === undefined) throw incomplete(context);
    yield* inKeyOrder(context, page);
    if (!page.IsTruncated) return;
    const { NextKeyMarker, NextVersionIdMarker } = page;
    const stands = NextKeyMarker === marker.KeyMarker && NextVersionIdMarker === marker.VersionIdMarker;
    if (NextKeyMarker === undefined || stands) throw incomplete(context);
    marker = {
      KeyMarker: NextKeyMarker,
      ...(NextVersionIdMarker === undefined ? {} : { VersionIdMarker: NextVersionIdMarker }),
    };
  }
}

/** Versions and delete markers come as two lists; times have whole seconds, so the one that is latest goes first by its flag. */
function inKeyOrder(context: S3Context, page: ListObjectVersionsCommandOutput): ListedVersion[] {
  const versions = (page.Versions ?? []).map((entry) => listedVersion(context, entry, false));
  const markers = (page.DeleteMarkers ?? []).map((entry) => listedVersion(context, entry, true));
  if (markers.length === 0) return versions;
  return [...versions, ...markers].sort(
    (a, b) =>
      compareKeys(a.key, b.key) ||
      Number(b.isLatest) - Number(a.isLatest) ||
      b.lastModified.getTime() - a.lastModified.getTime(),
  );
}

function listedVersion(
  context: S3Context,
  entry: ObjectVersion | DeleteMarkerEntry,
  isDeleteMarker: boolean,
): ListedVersion {
  const { Key, LastModified, VersionId, IsLatest } = entry;
  if (Key === undefined || LastModified === undefined) throw incomplete(context);
  return {
    key: Key.slice(context.prefix.length),
    bytes: 'Size' in entry ? (entry.Size ?? 0) : 0,
    lastModified: LastModified,
    versionId: versionIdOf(VersionId),
    isLatest: IsLatest ?? false,
    isDeleteMarker,
  };
}

function incomplete(context: S3Context): Error {
  return retryable('store_unavailable', `${context.location}: the store gave an incomplete listing`);
}

function outOfOrder(context: S3Context, key: string): Error {
  return giveUp('store_unsuitable', `${context.location}: listed out of order at ${JSON.stringify(key)}`);
}
