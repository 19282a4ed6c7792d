import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { RecordRepository } from '../record.ts';
import { parseKey, RECORDS_ROOT, RUNS_ROOT, runKey, type RunAddress } from '../keys.ts';
import { readWhole, type ListedObject, type ObjectStore } from '../../store/object-store.ts';
import type { Removable } from './removal.ts';
import type { RecordFilters } from '../find/record-filters.ts';
import { findPlaces } from '../find/scan-records.ts';

/** Objects of run attempts that are past their rule. */

export interface ExpiredRun {
  readonly address: RunAddress;
  readonly versions: readonly Removable[];
}

/** Objects read at once. */
const READ_IN_FLIGHT_MAX = 16;

const runSchema = z.looseObject({
  host: z.string(),
  owner: z.string(),
  repo: z.string(),
  repository_id: z.number().nullable(),
  recorded_at: z.string(),
  run: z
    .looseObject({
      updated_at: z.string().nullish(),
      run_started_at: z.string().nullish(),
      created_at: z.string().nullish(),
    })
    .nullable(),
});

/** Every attempt below the filters' places that `isPast` says is to go. What cannot be read as a run stays. */
export async function* expiredRuns(
  store: ObjectStore,
  filters: RecordFilters,
  isPast: (place: RecordRepository, moment: string) => boolean,
): AsyncGenerator<ExpiredRun> {
  for (const place of await findPlaces(store, filters)) {
    const prefix = RUNS_ROOT + place.prefix.slice(RECORDS_ROOT.length);
    let attempts: RunAddress[] = [];
    for await (const attempt of listedAttempts(store.list(prefix))) {
      attempts.push(attempt);
      if (attempts.length < READ_IN_FLIGHT_MAX) continue;
      yield* await lookAt(store, attempts, place.holds, isPast);
      attempts = [];
    }
    yield* await lookAt(store, attempts, place.holds, isPast);
  }
}

async function lookAt(
  store: ObjectStore,
  attempts: readonly RunAddress[],
  holds: (place: RecordRepository) => boolean,
  isPast: (place: RecordRepository, moment: string) => boolean,
): Promise<ExpiredRun[]> {
  const looked = await Promise.all(
    attempts.map(async (address) => {
      const { versions, newest } = await runVersions(store, address);
      if (newest === null || !holds(newest) || !isPast(newest, runMoment(newest))) return [];
      return [{ address, versions }];
    }),
  );
  return looked.flat();
}

export interface StandingRunVersions {
  readonly versions: readonly Removable[];
  readonly newest: z.infer<typeof runSchema> | null;
  readonly revision: number;
}

/** Every version of an attempt's object, and what the highest revision says. */
export async function runVersions(store: ObjectStore, address: RunAddress): Promise<StandingRunVersions> {
  const stem = runKey(address, 1).slice(0, -'json'.length);
  const versions: Removable[] = [];
  let newest: z.infer<typeof runSchema> | null = null;
  let revision = 0;
  for await (const version of store.listVersions(stem)) {
    const parsed = parseKey(version.key);
    if (parsed?.type !== 'run' || parsed.address.runAttempt !== address.runAttempt) continue;
    const { key, versionId, isDeleteMarker } = version;
    const bytes = isDeleteMarker ? null : (await readWhole(store, key, versionId ?? undefined))?.bytes;
    const sha256 = bytes ? createHash('sha256').update(bytes).digest('hex') : null;
    versions.push({ key, versionId, isDeleteMarker, sha256 });
    const run = bytes ? parseRunObject(bytes) : null;
    if (run === null || parsed.revision < revision) continue;
    revision = parsed.revision;
    newest = run;
  }
  return { versions, newest, revision };
}

function parseRunObject(bytes: Buffer): z.infer<typeof runSchema> | null {
  try {
    const parsed = runSchema.safeParse(JSON.parse(bytes.toString('utf8')));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}

/** A re-run of the attempt's jobs changes `updated_at`. */
function runMoment({ run, recorded_at }: z.infer<typeof runSchema>): string {
  return run?.updated_at ?? run?.run_started_at ?? run?.created_at ?? recorded_at;
}

/** Each attempt once: the keys of its revisions are neighbours. */
async function* listedAttempts(listing: AsyncIterable<ListedObject>): AsyncGenerator<RunAddress> {
  let last = '';
  for await (const { key } of listing) {
    const parsed = parseKey(key);
    if (parsed?.type !== 'run') continue;
    const id = runKey(parsed.address, 1);
    if (id !== last) yield parsed.address;
    last = id;
  }
}
