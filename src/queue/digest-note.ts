import { z } from 'zod';
import type { KeyValueNotes } from './key-value-notes.ts';

/** The last digest, for metrics: any process of the deployment can tell of it. */
export interface LastDigest {
  readonly sequence: number;
  readonly at: Date;
}

const NOTE = 'last-digest';
/** A ledger that was closed stays closed. */
const KEPT_MS = 10 * 365 * 24 * 60 * 60_000;

const noteSchema = z.object({ sequence: z.int().positive(), at: z.iso.datetime() });

/** Notes that a digest was appended. */
export async function noteDigest(
  notes: Pick<KeyValueNotes, 'note'>,
  { sequence, at }: LastDigest,
): Promise<void> {
  await notes.note(NOTE, JSON.stringify({ sequence, at: at.toISOString() }), KEPT_MS);
}

/** The last digest as it was noted; null when none was, or the queue was lost since. */
export async function readLastDigest(notes: Pick<KeyValueNotes, 'noted'>): Promise<LastDigest | null> {
  const [text] = await notes.noted([NOTE]);
  if (text === undefined || text === null) return null;
  const { sequence, at } = noteSchema.parse(JSON.parse(text));
  return { sequence, at: new Date(at) };
}
