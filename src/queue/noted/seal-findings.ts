import { z } from 'zod';
import type { KeyValueNotes } from '../key-value-notes.ts';

/**
 * What seals have found and nobody has looked at since. A seal looks only at what is new to it, so that the next one, which
 * finds nothing, says nothing of what this one found.
 */

const TABLE = 'seal-findings';
/** Kept apart so far, a seal each: whoever has so many has been told. The oldest go. */
export const SEALS_NOTED_MAX = 1_000;

const findingsSchema = z.object({ at: z.iso.datetime(), findings: z.int().positive() });

/** Notes what a seal found, under a name of its own: told of twice, it counts once. */
export async function noteSealFindings(
  notes: Pick<KeyValueNotes, 'setField' | 'fields'>,
  seal: string,
  findings: number,
  at: Date,
): Promise<void> {
  await notes.setField(TABLE, seal, JSON.stringify({ at: at.toISOString(), findings }));
  const noted = await readNoted(notes);
  const oldestFirst = noted.sort((one, other) => one.atMs - other.atMs);
  for (const { seal: old } of oldestFirst.slice(0, -SEALS_NOTED_MAX)) await notes.setField(TABLE, old, null);
}

/** How many findings of seals nobody has looked at; 0 where there are none, or the queue was lost since. */
export async function readSealFindings(notes: Pick<KeyValueNotes, 'fields'>): Promise<number> {
  let sum = 0;
  for (const { findings } of await readNoted(notes)) sum += findings;
  return sum;
}

/** Forgets what was found before `moment`: a verification of the whole archive that began then has found nothing. */
export async function clearSealFindings(
  notes: Pick<KeyValueNotes, 'setField' | 'fields'>,
  moment: Date,
): Promise<void> {
  for (const { seal, atMs } of await readNoted(notes))
    if (atMs < moment.getTime()) await notes.setField(TABLE, seal, null);
}

async function readNoted(
  notes: Pick<KeyValueNotes, 'fields'>,
): Promise<{ readonly seal: string; readonly atMs: number; readonly findings: number }[]> {
  return Object.entries(await notes.fields(TABLE)).map(([seal, text]) => {
    const { at, findings } = findingsSchema.parse(JSON.parse(text));
    return { seal, atMs: Date.parse(at), findings };
  });
}
