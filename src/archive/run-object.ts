import { z } from 'zod';
import { JsonText, objectText } from '../json-text.ts';
import { parseKey, placePrefix, RUNS_ROOT, runKey, type RunAddress } from './keys.ts';
import { readWhole, type ObjectStore } from '../store/object-store.ts';
import { bytesBody } from '../store/put-body.ts';
import type { RepositoryName } from './repository-names.ts';

/**
 * The object of a run attempt, `everlog.run/v1` (CONTRACT §5): which jobs GitHub listed and how each was accounted for. It
 * is written when all of them are, so an attempt that has one need not be looked at again.
 */
const runSchema = z.object({
  schema: z.literal('everlog.run/v1'),
  outcome: z.string(),
  revision: z.number(),
  supersedes: z.string().nullable(),
  host: z.string(),
  owner: z.string(),
  repo: z.string(),
  repository_id: z.number().nullable(),
  run_id: z.number(),
  run_attempt: z.number(),
  expected: z.array(z.number()),
  archived: z.array(z.number()),
  absent: z.array(z.looseObject({ job_id: z.number(), outcome: z.string() })),
  complete: z.boolean(),
});

/** What is read of a run object. */
export interface StoredRun extends z.infer<typeof runSchema> {
  /** The run as GitHub gave it; null when it was gone. */
  readonly run: JsonText | null;
  /** The jobs as the listing gave them. */
  readonly jobs: readonly JsonText[];
}

/** A run object to be written. */
export interface NewRun {
  readonly outcome: 'accounted' | 'deleted';
  readonly host: string;
  readonly owner: string;
  readonly repo: string;
  readonly repository_id: number | null;
  readonly installation_id: number | null;
  readonly run_id: number;
  readonly run_attempt: number;
  /** The run as GitHub gave it; null when it was gone. */
  readonly run: JsonText | null;
  /** The jobs as the listing gave them. */
  readonly jobs: readonly JsonText[];
  readonly expected: readonly number[];
  readonly archived: readonly number[];
  readonly absent: readonly { readonly job_id: number; readonly outcome: string }[];
  readonly complete: boolean;
  readonly recorded_at: string;
  readonly archiver: { readonly name: string; readonly version: string };
}

/** The newest object of each attempt of a run that stands in the archive, under any of the repository's names. */
export interface RunEntry {
  readonly key: string;
  readonly address: RunAddress;
  readonly revision: number;
  readonly lastModified?: Date;
}

/** More revisions of one attempt than this mean that something writes without end. */
const REVISIONS_MAX = 100;

/** Lists the newest run objects of one run by attempt. */
export async function findRunEntries(
  store: ObjectStore,
  host: string,
  names: readonly RepositoryName[],
  runId: number,
): Promise<ReadonlyMap<number, RunEntry>> {
  const entries = new Map<number, RunEntry>();
  for (const name of names) {
    for await (const { key } of store.list(placePrefix(RUNS_ROOT, { host, ...name, runId }))) {
      const parsed = parseKey(key);
      if (parsed?.type !== 'run') continue;
      const { address, revision } = parsed;
      const known = entries.get(address.runAttempt);
      if (known === undefined || revision > known.revision)
        entries.set(address.runAttempt, { key, address, revision });
    }
  }
  return entries;
}

/** Reads a run object; null when it is not there or cannot be read as one, which is as good as not there. */
export async function readRun(store: ObjectStore, key: string): Promise<StoredRun | null> {
  const found = await readWhole(store, key);
  if (found === null) return null;
  const read = JsonText.read(found.bytes.toString('utf8'));
  const parsed = runSchema.safeParse(read?.value);
  if (read === null || !parsed.success) return null;
  const run = read.json.member('run');
  return {
    ...parsed.data,
    run: run?.isObject() === true ? run : null,
    jobs: [...(read.json.member('jobs')?.elements() ?? [])],
  };
}

/**
 * Writes an attempt's object, or its next revision when one stands that says something else, or (`confirms`) that was
 * provisional. Answers whether it was written.
 */
export async function commitRun(
  store: ObjectStore,
  run: NewRun,
  standing: RunEntry | null,
  confirms: boolean,
): Promise<boolean> {
  const address: RunAddress = standing?.address ?? {
    host: run.host,
    owner: run.owner.toLowerCase(),
    repo: run.repo.toLowerCase(),
    runId: run.run_id,
    runAttempt: run.run_attempt,
  };
  let prior = standing;
  for (let tries = 0; tries < REVISIONS_MAX; tries += 1) {
    const isSaidAgain = confirms && prior === standing;
    if (prior !== null && !isSaidAgain && isSameAccount(await readRun(store, prior.key), run)) return false;
    const revision = (prior?.revision ?? 0) + 1;
    const key = runKey(address, revision);
    const bytes = Buffer.from(`${objectText(orderedRun(run, revision, prior?.key ?? null))}\n`);
    const put = await store.putIfAbsent(key, bytesBody(bytes), {
      contentType: 'application/json',
      kind: 'other',
    });
    if (put.outcome === 'created') return true;
    prior = { key, address, revision };
  }
  throw new Error(`more than ${REVISIONS_MAX} objects of run ${run.run_id}`);
}

function orderedRun(run: NewRun, revision: number, supersedes: string | null): Record<string, unknown> {
  const { outcome, ...rest } = run;
  return { schema: 'everlog.run/v1', outcome, revision, supersedes, ...rest };
}

function isSameAccount(standing: StoredRun | null, ours: NewRun): boolean {
  if (standing === null || standing.outcome !== ours.outcome) return false;
  const archived = new Set(standing.archived);
  const absent = new Map(standing.absent.map((it) => [it.job_id, it.outcome]));
  return (
    ours.archived.length === archived.size &&
    ours.archived.every((id) => archived.has(id)) &&
    ours.absent.length === absent.size &&
    ours.absent.every((it) => absent.get(it.job_id) === it.outcome)
  );
}
