import { z } from 'zod';
import type { Notes } from '../notes.ts';

/** A recorded verification as far as metrics tell of it. */
export interface LastVerification {
  readonly at: Date;
  readonly findings: number;
  /** How much of the archive it looked at: a whole one looks at every digest. */
  readonly isWhole: boolean;
  /** How closely: the greater, the closer. */
  readonly depth: number;
}

const NOTE = 'last-verification';
/** Findings are told of until somebody has looked again. */
const KEPT_MS = 10 * 365 * 24 * 60 * 60_000;

const noteSchema = z.object({
  at: z.iso.datetime(),
  findings: z.int().min(0),
  whole: z.boolean(),
  depth: z.int(),
});

/**
 * Whether a later verification takes the place of what was noted. Findings always do; one without any only where it would have
 * seen what was found before: one that looks at less, or less closely, does not clear it. Pure.
 */
export function supersedes(later: LastVerification, noted: LastVerification | null): boolean {
  if (noted === null || later.findings > 0) return true;
  return (later.isWhole || !noted.isWhole) && later.depth >= noted.depth;
}

/** Notes a verification, unless what is noted says more. */
export async function noteVerification(
  notes: Pick<Notes, 'note' | 'noted'>,
  later: LastVerification,
): Promise<void> {
  if (!supersedes(later, await readLastVerification(notes))) return;
  const { at, findings, isWhole, depth } = later;
  await notes.note(NOTE, JSON.stringify({ at: at.toISOString(), findings, whole: isWhole, depth }), KEPT_MS);
}

/** The last verification that counts; null when none was recorded, or the queue was lost since. */
export async function readLastVerification(notes: Pick<Notes, 'noted'>): Promise<LastVerification | null> {
  const [text] = await notes.noted([NOTE]);
  if (text === undefined || text === null) return null;
  const { at, findings, whole, depth } = noteSchema.parse(JSON.parse(text));
  return { at: new Date(at), findings, isWhole: whole, depth };
}
