import { z } from 'zod';
import type { KeyValueNotes } from '../queue/key-value-notes.ts';

/**
 * Until when each repository was compared, and when it last had a run: a field of some hundred bytes for each repository that
 * an installation sees.
 */
export interface ComparedRepository {
  /** Everything created until then was compared; null: never yet. */
  readonly at: string | null;
  /** When the newest run known of it began; null: none was seen. */
  readonly run_at: string | null;
  readonly installation_id: number | null;
  /** Its installation is suspended: nobody can look into it, and what is said of the others is not held up by it. */
  readonly suspended: boolean;
}

const TABLE = 'compared';
/** Runs by the clock come weekly at the latest; a repository that had none for longer is looked into daily. */
const ACTIVE_RUNS_MS = 8 * 24 * 60 * 60_000;

const comparedSchema = z.object({
  at: z.iso.datetime().nullable(),
  run_at: z.iso.datetime().nullable(),
  installation_id: z.int().nullable(),
  suspended: z.boolean(),
});

export type ComparedRepositories = ReadonlyMap<string, ComparedRepository>;

/** The name of a repository's field. */
export function comparedField(host: string, repositoryId: number): string {
  return `${host}/${repositoryId}`;
}

/** Whether a field is of a repository of this host. */
export function isNoteOfHost(host: string, field: string): boolean {
  return field.slice(0, field.lastIndexOf('/')) === host;
}

/** Reads all of them; a field that says nothing readable is as good as none. */
export async function readCompared(notes: Pick<KeyValueNotes, 'fields'>): Promise<ComparedRepositories> {
  const compared = new Map<string, ComparedRepository>();
  for (const [field, text] of Object.entries(await notes.fields(TABLE))) {
    const parsed = comparedSchema.safeParse(JSON.parse(text));
    if (parsed.success) compared.set(field, parsed.data);
  }
  return compared;
}

/** Notes what is known of a repository; null: it is not there any more. */
export async function noteComparedRepository(
  notes: Pick<KeyValueNotes, 'setField'>,
  field: string,
  compared: ComparedRepository | null,
): Promise<void> {
  await notes.setField(TABLE, field, compared === null ? null : JSON.stringify(compared));
}

/** The earliest moment up to which every repository was compared; `never` while one was not yet, null where none is known. */
export function comparedThrough(compared: ComparedRepositories): Date | 'never' | null {
  let oldest: string | null = null;
  for (const { at, suspended } of compared.values()) {
    if (suspended) continue;
    if (at === null) return 'never';
    if (oldest === null || at < oldest) oldest = at;
  }
  return oldest === null ? null : new Date(oldest);
}

/**
 * Whether a repository is looked into at every interval: nothing is known of it, it was pushed to within the lookback, or it had
 * runs of late, which come by the clock as well as by pushes. Pure.
 */
export function isActive(
  known: ComparedRepository | undefined,
  activeAt: Date | null,
  now: Date,
  lookbackMs: number,
): boolean {
  if (known === undefined || known.at === null || activeAt === null) return true;
  if (now.getTime() - activeAt.getTime() <= lookbackMs) return true;
  const ranMs = known.run_at === null ? null : now.getTime() - Date.parse(known.run_at);
  return ranMs !== null && ranMs <= Math.max(ACTIVE_RUNS_MS, lookbackMs);
}

/**
 * How far back a comparison looks: the usual lookback, or to where the last one of the repository ended, as nothing in between
 * was compared; never past the retention, beyond which there is nothing to fetch. Pure.
 */
export function lookbackOf(
  comparedThrough: string | null | undefined,
  startedAt: Date,
  limits: { readonly lookbackMs: number; readonly retentionMs: number },
): number {
  const { lookbackMs, retentionMs } = limits;
  if (comparedThrough === null || comparedThrough === undefined) return lookbackMs;
  const sinceMs = startedAt.getTime() - Date.parse(comparedThrough);
  return Math.max(lookbackMs, Math.min(sinceMs, retentionMs));
}
