import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  hkdfSync,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto';
import { Hono } from 'hono';
import type { GitHubUsers } from '../github/network/users.ts';
import type { Access, Reader, RepositoryOf, Visit } from './access.ts';

export interface LoginSettings {
  /** The page's own address. */
  readonly url: string;
  readonly secret: string;
  /** Ids of users who may read what GitHub no longer has. */
  readonly auditors: ReadonlySet<number>;
  /** The host that people log in at; repositories of others are for auditors. */
  readonly host: string;
  readonly now: () => Date;
}

interface Session {
  /** Encrypted: memory may be dumped, and a token is somebody's account. */
  readonly sealedToken: Buffer;
  readonly id: number;
  readonly login: string;
  readonly untilMs: number;
  /** Answers by repository id: yes for five minutes, no for one. */
  readonly answers: Map<string, { readonly may: boolean; readonly untilMs: number }>;
}

/** How long somebody stays known; GitHub's user tokens live eight hours. */
const SESSION_MS = 8 * 60 * 60_000;
const SESSIONS_MAX = 10_000;
const ANSWERS_MAX = 1_000;
const YES_MS = 5 * 60_000;
const NO_MS = 60_000;
const STATE_SECONDS = 600;
const ID_BYTES = 32;

/** The path at which a login begins, and to which GitHub sends people back. */
const LOGIN_PATH = '/-/login';
const DONE_PATH = `${LOGIN_PATH}/done`;

/** People who log in with GitHub: each request asks whether their own token may read the repository by its id. */
export class GitHubLogin implements Access {
  readonly login = LOGIN_PATH;
  readonly routes: Hono;
  readonly #users: GitHubUsers;
  readonly #settings: LoginSettings;
  readonly #sessions = new Map<string, Session>();
  readonly #signing: Buffer;
  readonly #sealing: Buffer;
  readonly #cookie: string;

  constructor(users: GitHubUsers, settings: LoginSettings) {
    this.#users = users;
    this.#settings = settings;
    this.#signing = Buffer.from(hkdfSync('sha256', settings.secret, '', 'everlog web state', 32));
    this.#sealing = Buffer.from(hkdfSync('sha256', settings.secret, '', 'everlog web tokens', 32));
    this.#cookie = settings.url.startsWith('https:') ? '__Host-everlog' : 'everlog';
    this.routes = this.#makeRoutes();
  }

  async readerOf(visit: Visit): Promise<Reader | null> {
    const session = this.#sessionOf(visit);
    return session === null ? null : { name: `${session.login} (${session.id})`, knownBy: 'github' };
  }

  async mayRead(_reader: Reader, visit: Visit, repository: RepositoryOf): Promise<boolean> {
    const session = this.#sessionOf(visit);
    if (session === null) return false;
    if (this.#settings.auditors.has(session.id)) return true;
    const id = repository.repository_id;
    if (id === null || repository.host !== this.#settings.host) return false;
    const nowMs = this.#settings.now().getTime();
    const name = `${id} ${repository.owner}/${repository.repo}`.toLowerCase();
    const known = session.answers.get(name);
    if (known !== undefined && known.untilMs > nowMs) return known.may;
    const token = this.#open(session.sealedToken);
    // By the id: somebody else may have registered the name of a repository that was deleted.
    const may = (await this.#users.repositoryId(token, repository.owner, repository.repo)) === id;
    if (session.answers.size >= ANSWERS_MAX) session.answers.clear();
    session.answers.set(name, { may, untilMs: nowMs + (may ? YES_MS : NO_MS) });
    return may;
  }

  #sessionOf(visit: Visit): Session | null {
    const id = cookieIn(visit, this.#cookie);
    if (id === null) return null;
    const key = hashed(id);
    const session = this.#sessions.get(key) ?? null;
    if (session === null || session.untilMs > this.#settings.now().getTime()) return session;
    this.#sessions.delete(key);
    return null;
  }

  #makeRoutes(): Hono {
    const app = new Hono();
    const redirectUrl = `${this.#settings.url}${DONE_PATH}`;
    const attributes = `Path=/; HttpOnly; SameSite=Lax${this.#settings.url.startsWith('https:') ? '; Secure' : ''}`;
    app.get(LOGIN_PATH, (c) => {
      const [state, verifier] = [randomBytes(ID_BYTES), randomBytes(ID_BYTES)].map((bytes) =>
        bytes.toString('base64url'),
      );
      if (state === undefined || verifier === undefined) throw new Error('two values were made');
      const untilMs = this.#settings.now().getTime() + STATE_SECONDS * 1_000;
      const signed = this.#signed(`${state}.${verifier}.${untilMs}`);
      c.header('set-cookie', `${this.#cookie}-state=${signed}; Max-Age=${STATE_SECONDS}; ${attributes}`);
      const challenge = createHash('sha256').update(verifier).digest('base64url');
      return c.redirect(this.#users.authorizeUrl({ state, challenge, redirectUrl }), 302);
    });
    app.get(DONE_PATH, async (c) => {
      const given = /(?:^|;\s*)[^=;]*-state=([^;]+)/.exec(c.req.header('cookie') ?? '')?.[1] ?? '';
      const [state = '', verifier = '', untilMs = '0'] = this.#verified(given)?.split('.') ?? [];
      const isOurs =
        state !== '' &&
        isSame(state, c.req.query('state') ?? '') &&
        Number(untilMs) > this.#settings.now().getTime();
      const user = isOurs
        ? await this.#users.exchange(c.req.query('code') ?? '', verifier, redirectUrl)
        : null;
      c.header('set-cookie', `${this.#cookie}-state=; Max-Age=0; ${attributes}`);
      if (user === null)
        return c.text('This login did not begin here, or took too long. Open the page again.\n', 403);
      c.header(
        'set-cookie',
        `${this.#cookie}=${this.#begin(user)}; Max-Age=${SESSION_MS / 1_000}; ${attributes}`,
        { append: true },
      );
      return c.redirect('/', 302);
    });
    return app;
  }

  #begin({ token, id, login }: { token: string; id: number; login: string }): string {
    const session = randomBytes(ID_BYTES).toString('base64url');
    if (this.#sessions.size >= SESSIONS_MAX) {
      const [oldest] = this.#sessions.keys();
      if (oldest !== undefined) this.#sessions.delete(oldest);
    }
    const untilMs = this.#settings.now().getTime() + SESSION_MS;
    this.#sessions.set(hashed(session), {
      sealedToken: this.#seal(token),
      id,
      login,
      untilMs,
      answers: new Map(),
    });
    return session;
  }

  #signed(text: string): string {
    return `${text}.${createHmac('sha256', this.#signing).update(text).digest('base64url')}`;
  }

  #verified(signed: string): string | null {
    const at = signed.lastIndexOf('.');
    const text = signed.slice(0, Math.max(0, at));
    return isSame(this.#signed(text), signed) ? text : null;
  }

  #seal(text: string): Buffer {
    const nonce = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', this.#sealing, nonce);
    const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
    return Buffer.concat([nonce, cipher.getAuthTag(), sealed]);
  }

  #open(sealed: Buffer): string {
    const decipher = createDecipheriv('aes-256-gcm', this.#sealing, sealed.subarray(0, 12));
    decipher.setAuthTag(sealed.subarray(12, 28));
    return Buffer.concat([decipher.update(sealed.subarray(28)), decipher.final()]).toString('utf8');
  }
}

function cookieIn({ headers }: Visit, name: string): string | null {
  for (const pair of (headers.get('cookie') ?? []).join(';').split(';')) {
    const [key, value] = pair.trim().split('=');
    if (key === name && value !== undefined && value !== '') return value;
  }
  return null;
}

function hashed(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function isSame(a: string, b: string): boolean {
  return timingSafeEqual(Buffer.from(hashed(a)), Buffer.from(hashed(b)));
}
