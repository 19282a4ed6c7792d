import { z } from 'zod';
import { comparedThrough, isNoteOfHost, readCompared } from './compared-note.ts';
import type { GapLine } from '../ledger/formats/formats.ts';
import { archiveJobId, type ArchiveJob } from '../queue/catalog.ts';
import { closeGap, gapOfWork, noteGap, readGaps, type NotedGap } from '../queue/gap-note.ts';
import type { KeyValueNotes } from '../queue/key-value-notes.ts';

/** What reconcile last found, for whoever asks whether anything is missing: kept small, a number per repository with gaps. */

/** What is known of all hosts together. */
export interface Reconciled {
  /** When a host's repositories were last gone through, by host. */
  readonly lastAt: ReadonlyMap<string, Date>;
  /** Completed jobs without a record when their repository was last looked into. They were queued then. */
  readonly gapJobs: number;
}

/** A repository that was looked into. */
export interface ReconciledPlace {
  readonly host: string;
  readonly owner: string;
  readonly repo: string;
  readonly repository_id: number;
}

const AT_TABLE = 'reconciled';
const GAPS_TABLE = 'reconcile-gaps';
const PASSES_TABLE = 'reconcile-passes';
const UNDER_WAY_TABLE = 'reconciling';
/** Every repository is looked into daily: what nobody confirms for longer is of a repository that is gone. */
const BELIEVED_MS = 3 * 24 * 60 * 60_000;
/** Jobs named of one repository; more are counted. */
export const MISSING_NAMED_MAX = 100;
/** Passes remembered per host: at one an hour, two days. */
const PASSES_MAX = 48;

/** Begins what is noted of a place, apart from every queue id. */
const PLACE = 'place ';
/** Behind every moment, as text. */
const NEVER = '~';

const gapSchema = z.object({
  jobs: z.int().positive(),
  at: z.iso.datetime(),
  /** Those beyond the ones that were named. */
  unnamed: z.int().min(0).default(0),
  owner: z.string().nullable().default(null),
  repo: z.string().nullable().default(null),
});
const passesSchema = z.array(z.iso.datetime());
const underWaySchema = z.object({ host: z.string(), at: z.iso.datetime() });

/** Notes that a host's repositories were gone through, by a pass that began at `startedAt`. */
export async function noteReconciled(
  notes: Pick<KeyValueNotes, 'setField' | 'fields'>,
  host: string,
  startedAt: Date,
): Promise<void> {
  const passes = (await readPasses(notes)).get(host) ?? [];
  const kept = [...passes, startedAt.toISOString()].slice(-PASSES_MAX);
  await notes.setField(PASSES_TABLE, host, JSON.stringify(kept));
  await notes.setField(AT_TABLE, host, startedAt.toISOString());
}

/** Forgets hosts that are not gone through any more. */
export async function forgetOtherHosts(
  notes: Pick<KeyValueNotes, 'setField' | 'fields'>,
  hosts: ReadonlySet<string>,
): Promise<void> {
  for (const host of Object.keys(await notes.fields(AT_TABLE))) {
    if (hosts.has(host)) continue;
    await notes.setField(PASSES_TABLE, host, null);
    await notes.setField(AT_TABLE, host, null);
  }
}

/** What a pass over the hosts notes of the comparisons that it queues. */
export interface ReconcilePass {
  /** A comparison is about to be queued; one that is under way belongs to the pass that queued it. */
  queued(host: string, queueId: string): Promise<void>;
}

/** Begins a pass over the hosts. */
export async function beginPass(notes: KeyValueNotes, startedAt: Date): Promise<ReconcilePass> {
  const underWay = new Set(Object.keys(await notes.fields(UNDER_WAY_TABLE)));
  return {
    async queued(host, queueId) {
      if (underWay.has(queueId)) return;
      const text = JSON.stringify({ host, at: startedAt.toISOString() });
      await notes.setField(UNDER_WAY_TABLE, queueId, text);
    },
  };
}

/** Notes that a comparison has ended. */
export async function noteCompared(notes: Pick<KeyValueNotes, 'setField'>, queueId: string): Promise<void> {
  await notes.setField(UNDER_WAY_TABLE, queueId, null);
}

/**
 * Until when everything that GitHub could tell of was compared with the archive: of each host the beginning of the last pass
 * whose comparisons have all ended, of these the oldest; and no later than until when any single repository was, as a pass
 * leaves out those that seem at rest. Null while a host has no such pass, or a repository was never compared.
 */
export async function readReconciledThrough(notes: KeyValueNotes, now: Date): Promise<Date | null> {
  let oldest: Date | null = null;
  for (const through of (await readPassedThrough(notes, now)).values()) {
    if (through === null) return null;
    if (oldest === null || through < oldest) oldest = through;
  }
  return oldest === null ? null : earlierMoment(oldest, comparedThrough(await readCompared(notes)));
}

/** The same of each host by itself; a host that has no such moment is left out. */
export async function readHostsReconciledThrough(
  notes: KeyValueNotes,
  now: Date,
): Promise<ReadonlyMap<string, Date>> {
  const [passed, compared] = await Promise.all([readPassedThrough(notes, now), readCompared(notes)]);
  const found = new Map<string, Date>();
  for (const [host, through] of passed) {
    const own = new Map([...compared].filter(([field]) => isNoteOfHost(host, field)));
    const earliest = through === null ? null : earlierMoment(through, comparedThrough(own));
    if (earliest !== null) found.set(host, earliest);
  }
  return found;
}

/** The earlier of two moments, where the second may be unknown or not have come. */
function earlierMoment(moment: Date, other: Date | 'never' | null): Date | null {
  if (other === 'never') return null;
  return other !== null && other < moment ? other : moment;
}

/** Of each host the beginning of the last pass whose comparisons have all ended; null where there is none. */
async function readPassedThrough(notes: KeyValueNotes, now: Date): Promise<ReadonlyMap<string, Date | null>> {
  const passes = await readPasses(notes);
  const openSince = new Map<string, string>();
  for (const [queueId, text] of Object.entries(await notes.fields(UNDER_WAY_TABLE))) {
    const { host, at } = underWaySchema.parse(JSON.parse(text));
    if (now.getTime() - Date.parse(at) > BELIEVED_MS) await noteCompared(notes, queueId);
    else if (at < (openSince.get(host) ?? NEVER)) openSince.set(host, at);
  }
  const through = new Map<string, Date | null>();
  for (const [host, times] of passes) {
    const open = openSince.get(host);
    const at = times.findLast((time) => open === undefined || time < open);
    through.set(host, at === undefined ? null : new Date(at));
  }
  return through;
}

async function readPasses(notes: Pick<KeyValueNotes, 'fields'>): Promise<Map<string, readonly string[]>> {
  const fields = Object.entries(await notes.fields(PASSES_TABLE));
  return new Map(fields.map(([host, text]) => [host, passesSchema.parse(JSON.parse(text))]));
}

/** Notes a completed job without a record, before it is queued: whoever records it takes the note back. */
export async function noteMissing(
  notes: Pick<KeyValueNotes, 'setField'>,
  job: ArchiveJob,
  completedAt: string | null,
): Promise<void> {
  const gap = gapOfWork({ name: 'archive-job', data: job });
  if (gap === null) throw new Error('an archive job brings a log in');
  const reason = 'no record when its run was compared; queued then';
  await noteGap(notes, archiveJobId(job.host, job.job_id), {
    ...gap,
    reason,
    since: completedAt ?? job.received_at,
  });
}

/** Notes how many jobs of a repository had no record, of which so many were named by `noteMissing`. */
export async function noteGaps(
  notes: Pick<KeyValueNotes, 'setField'>,
  place: ReconciledPlace,
  missing: { readonly jobs: number; readonly named: number },
  now: Date,
): Promise<void> {
  const { host, owner, repo, repository_id } = place;
  const { jobs, named } = missing;
  const unnamed = Math.max(0, jobs - named);
  const text = jobs === 0 ? null : JSON.stringify({ jobs, at: now.toISOString(), unnamed, owner, repo });
  await notes.setField(GAPS_TABLE, `${host}/${repository_id}`, text);
  await closeGap(notes, placeId(place));
}

/** Notes that a repository, or all of an owner's, could not be looked into. */
export async function notePlaceGap(
  notes: Pick<KeyValueNotes, 'setField'>,
  place: { readonly host: string; readonly owner: string | null; readonly repo: string | null },
  reason: string,
  now: Date,
): Promise<void> {
  await noteGap(notes, placeId(place), {
    ...place,
    repository_id: null,
    run_id: null,
    run_attempt: null,
    job_id: null,
    jobs: 0,
    reason: `could not be looked into: ${reason}`,
    since: now.toISOString(),
  });
}

/** Takes back what `notePlaceGap` noted of a host: everything there could be looked into. */
export async function closePlaceGaps(
  notes: Pick<KeyValueNotes, 'setField' | 'fields'>,
  host: string,
): Promise<void> {
  const prefix = placeId({ host, owner: null, repo: null }).slice(0, -1);
  for (const key of (await readGaps(notes)).keys()) if (key.startsWith(prefix)) await closeGap(notes, key);
}

function placeId(place: { host: string; owner: string | null; repo: string | null }): string {
  return `${PLACE}${place.host}/${place.owner ?? ''}/${place.repo ?? ''}`.toLowerCase();
}

/** All gaps noted that are still believed, by what will close them. */
export async function believedGaps(notes: KeyValueNotes, now: Date): Promise<Map<string, NotedGap>> {
  const gaps = await readGaps(notes);
  for (const [key, { since }] of gaps) {
    if (!key.startsWith(PLACE) || now.getTime() - Date.parse(since) <= BELIEVED_MS) continue;
    gaps.delete(key);
    await closeGap(notes, key);
  }
  return gaps;
}

/** Reads what was noted. */
export async function readReconciled(notes: KeyValueNotes, now: Date): Promise<Reconciled> {
  const times = await notes.fields(AT_TABLE);
  const lastAt = new Map(Object.entries(times).map(([host, at]) => [host, new Date(at)]));
  let gapJobs = 0;
  for (const { jobs } of await believedCounts(notes, now)) gapJobs += jobs;
  return { lastAt, gapJobs };
}

/** Jobs without a record that were counted and not named, by repository. */
export async function readCountedGaps(notes: KeyValueNotes, now: Date): Promise<readonly GapLine[]> {
  const gaps = await believedCounts(notes, now);
  return gaps
    .filter(({ unnamed }) => unnamed > 0)
    .map(({ host, repositoryId, owner, repo, unnamed, at }) => ({
      host,
      owner,
      repo,
      repository_id: repositoryId,
      run_id: null,
      run_attempt: null,
      job_id: null,
      jobs: unnamed,
      reason: 'no record when the repository was compared; queued then',
      since: at,
    }));
}

type BelievedCount = z.infer<typeof gapSchema> & { readonly host: string; readonly repositoryId: number };

async function believedCounts(notes: KeyValueNotes, now: Date): Promise<readonly BelievedCount[]> {
  const believed: BelievedCount[] = [];
  for (const [field, text] of Object.entries(await notes.fields(GAPS_TABLE))) {
    const gap = gapSchema.parse(JSON.parse(text));
    const slash = field.lastIndexOf('/');
    const place = { host: field.slice(0, slash), repositoryId: Number(field.slice(slash + 1)) };
    if (now.getTime() - Date.parse(gap.at) <= BELIEVED_MS) believed.push({ ...gap, ...place });
    else await notes.setField(GAPS_TABLE, field, null);
  }
  return believed;
}
