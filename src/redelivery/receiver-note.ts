import { randomBytes, scryptSync, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import type { KeyValueNotes } from '../queue/key-value-notes.ts';

/**
 * When a host's receiver was last given other settings (its secrets, the App it expects): deliveries that failed before may
 * succeed now. Receivers note it as they start, as only they know their secrets; whoever asks for redeliveries reads it.
 */
const noteSchema = z.object({ salt: z.string(), fingerprint: z.string(), changed_at: z.iso.datetime() });

/** Renewed by every start of a receiver. */
const KEPT_MS = 400 * 24 * 60 * 60_000;
const FINGERPRINT_BYTES = 32;
const SALT_BYTES = 16;

/** Notes the settings that a receiver starts with. They are kept as a slow hash, from which no secret can be read. */
export async function noteReceiverSettings(
  notes: Pick<KeyValueNotes, 'note' | 'noted'>,
  host: string,
  settings: readonly string[],
  now: Date,
): Promise<'first' | 'same' | 'changed'> {
  const known = await read(notes, host);
  const same = known !== null && isUnchanged(known, settings);
  const salt = randomBytes(SALT_BYTES).toString('hex');
  const note = same
    ? known
    : {
        salt,
        fingerprint: fingerprintOf(settings, salt).toString('hex'),
        changed_at: now.toISOString(),
      };
  await notes.note(receiverNoteName(host), JSON.stringify(note), KEPT_MS);
  if (known === null) return 'first';
  return same ? 'same' : 'changed';
}

/** Since when the host's receivers have the settings that they have; null when none has said. */
export async function receiverChangedAt(
  notes: Pick<KeyValueNotes, 'noted'>,
  host: string,
): Promise<Date | null> {
  const known = await read(notes, host);
  return known === null ? null : new Date(known.changed_at);
}

async function read(
  notes: Pick<KeyValueNotes, 'noted'>,
  host: string,
): Promise<z.infer<typeof noteSchema> | null> {
  const [text] = await notes.noted([receiverNoteName(host)]);
  const parsed = noteSchema.safeParse(JSON.parse(text ?? 'null'));
  return parsed.success ? parsed.data : null;
}

function isUnchanged(known: z.infer<typeof noteSchema>, settings: readonly string[]): boolean {
  const before = Buffer.from(known.fingerprint, 'hex');
  const present = fingerprintOf(settings, known.salt);
  return before.length === present.length && timingSafeEqual(before, present);
}

function fingerprintOf(settings: readonly string[], salt: string): Buffer {
  return scryptSync(JSON.stringify(settings), salt, FINGERPRINT_BYTES);
}

function receiverNoteName(host: string): string {
  return `receiver/${host}`;
}
