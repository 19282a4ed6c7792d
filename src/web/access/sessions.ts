import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { KeyValueNotes } from '../../queue/key-value-notes.ts';

/** Somebody who has logged in. The token is their account: it is never shown and never stored in the clear. */
export interface Session {
  readonly token: string;
  readonly id: number;
  readonly login: string;
  readonly untilMs: number;
}

/** Where sealed sessions are kept; what is kept may be lost, and then people log in again. */
export interface SessionPlace {
  read(name: string): Promise<string | null>;
  keep(name: string, text: string, keptMs: number): Promise<void>;
  remove(name: string): Promise<void>;
}

const ID_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** Sessions in memory; of more the oldest ends, and its owner logs in again. */
const SESSIONS_MAX = 10_000;

const sessionSchema = z.object({
  token: z.string().min(1),
  id: z.int().positive(),
  login: z.string(),
  untilMs: z.number(),
});

/** In this process alone. */
export function memorySessions(): SessionPlace {
  const kept = new Map<string, string>();
  return {
    read: async (name) => kept.get(name) ?? null,
    async keep(name, text) {
      const [oldest] = kept.keys();
      if (kept.size >= SESSIONS_MAX && oldest !== undefined) kept.delete(oldest);
      kept.set(name, text);
    },
    async remove(name) {
      kept.delete(name);
    },
  };
}

/** With the queue, so that several processes serve the same people. */
export function notedSessions(notes: Pick<KeyValueNotes, 'note' | 'noted'>): SessionPlace {
  const nameOf = (name: string): string => `web-session:${name}`;
  return {
    read: async (name) => (await notes.noted([nameOf(name)]))[0] || null,
    keep: (name, text, keptMs) => notes.note(nameOf(name), text, keptMs),
    remove: (name) => notes.note(nameOf(name), '', 1),
  };
}

/**
 * Sessions by random ids that only the cookies hold: the place knows an id's hash, and under it the session, encrypted with
 * AES-256-GCM so that neither a dump of the place nor a session moved within it is of use.
 */
export class Sessions {
  readonly #place: SessionPlace;
  readonly #key: Buffer;
  readonly #now: () => Date;

  constructor(place: SessionPlace, secret: string, now: () => Date) {
    this.#place = place;
    this.#key = Buffer.from(hkdfSync('sha256', secret, '', 'everlog web tokens', 32));
    this.#now = now;
  }

  /** Begins a session; answers its id, for the cookie. */
  async begin(session: Session): Promise<string> {
    const id = randomBytes(ID_BYTES).toString('base64url');
    const name = sessionName(id);
    const keptMs = session.untilMs - this.#now().getTime();
    await this.#place.keep(name, this.#seal(name, JSON.stringify(session)), keptMs);
    return id;
  }

  /** The session of an id; null where there is none, or it has ended. */
  async find(id: string): Promise<Session | null> {
    const name = sessionName(id);
    const sealed = await this.#place.read(name);
    const session = sealed === null ? null : this.#open(name, sealed);
    return session !== null && session.untilMs > this.#now().getTime() ? session : null;
  }

  end(id: string): Promise<void> {
    return this.#place.remove(sessionName(id));
  }

  #seal(name: string, text: string): string {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce).setAAD(Buffer.from(name));
    const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
    return Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64');
  }

  /** Null for what was sealed under another secret, or is no session: whoever brought it logs in again. */
  #open(name: string, text: string): Session | null {
    try {
      const sealed = Buffer.from(text, 'base64');
      const decipher = createDecipheriv('aes-256-gcm', this.#key, sealed.subarray(0, NONCE_BYTES));
      decipher.setAAD(Buffer.from(name)).setAuthTag(sealed.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
      const opened = [decipher.update(sealed.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()];
      const parsed = sessionSchema.safeParse(JSON.parse(Buffer.concat(opened).toString('utf8')));
      return parsed.success ? parsed.data : null;
    } catch {
      return null;
    }
  }
}

function sessionName(id: string): string {
  return createHash('sha256').update(id).digest('hex');
}
