import { z } from 'zod';
import type { KeyValueNotes } from '../key-value-notes.ts';

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
 * What counts after a later verification. What was found stands until one that would have seen it finds nothing: one that looks
 * at less, or less closely, can add to it, and takes nothing of it away. Pure.
 */
export function standingAfter(later: LastVerification, noted: LastVerification | null): LastVerification {
  if (noted === null || noted.findings === 0) return later;
  if ((later.isWhole || !noted.isWhole) && later.depth >= noted.depth) return later;
  if (later.findings === 0) return noted;
  return {
    at: later.at,
    findings: Math.max(later.findings, noted.findings),
    isWhole: later.isWhole || noted.isWhole,
    depth: Math.max(later.depth, noted.depth),
  };
}

/** Notes a verification beside what was found before. */
export async function noteVerification(
  notes: Pick<KeyValueNotes, 'note' | 'noted'>,
  later: LastVerification,
): Promise<void> {
  const { at, findings, isWhole, depth } = standingAfter(later, await readLastVerification(notes));
  await notes.note(NOTE, JSON.stringify({ at: at.toISOString(), findings, whole: isWhole, depth }), KEPT_MS);
}

/** The last verification that counts; null when none was recorded, or the queue was lost since. */
export async function readLastVerification(
  notes: Pick<KeyValueNotes, 'noted'>,
): Promise<LastVerification | null> {
  const [text] = await notes.noted([NOTE]);
  if (text === undefined || text === null) return null;
  const { at, findings, whole, depth } = noteSchema.parse(JSON.parse(text));
  return { at: new Date(at), findings, isWhole: whole, depth };
}
