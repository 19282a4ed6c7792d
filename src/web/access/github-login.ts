import { createHash, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { Hono } from 'hono';
import type { Context } from 'hono';
import type { GitHubUsers } from '../../github/network/users.ts';
import { html } from '../html.ts';
import { noteOf, pageOf } from '../page.ts';
import { isSame, type Access, type Reader, type RepositoryOf, type Visit } from './access.ts';
import { Sessions, type Session, type SessionPlace } from './sessions.ts';

export interface LoginSettings {
  /** The page's own address. */
  readonly url: string;
  readonly secret: string;
  /** Ids of users who may read everything, also what GitHub no longer has. */
  readonly auditors: ReadonlySet<number>;
  /** The host that people log in at; repositories of others are for auditors. */
  readonly host: string;
  readonly sessions: SessionPlace;
  readonly now: () => Date;
}

/** How long somebody stays known; GitHub's user tokens live eight hours. */
const SESSION_MS = 8 * 60 * 60_000;
/** Answers kept, of all readers together. */
const ANSWERS_MAX = 50_000;
const YES_MS = 5 * 60_000;
const NO_MS = 60_000;
const STATE_SECONDS = 600;
const STATE_BYTES = 32;
/** Longest address that somebody is brought back to. */
const BACK_CHARACTERS_MAX = 2_000;

/** Where people log in, where a login begins, where GitHub sends people back to, and where they leave. */
const LOGIN_PATH = '/-/login';
const BEGIN_PATH = `${LOGIN_PATH}/github`;
const DONE_PATH = `${LOGIN_PATH}/done`;
const LOGOUT_PATH = '/-/logout';

/** People who log in with GitHub: each request asks whether their own token may read the repository by its id. */
export class GitHubLogin implements Access {
  readonly login = LOGIN_PATH;
  readonly routes: Hono;
  readonly #users: GitHubUsers;
  readonly #settings: LoginSettings;
  readonly #sessions: Sessions;
  /** Of the readers of requests that are being answered. */
  readonly #sessionOf = new WeakMap<Reader, Session>();
  /** By person and repository: yes for five minutes, no for one. */
  readonly #answers = new Map<string, { readonly may: boolean; readonly untilMs: number }>();
  readonly #signing: Buffer;
  readonly #cookie: string;
  readonly #attributes: string;

  constructor(users: GitHubUsers, settings: LoginSettings) {
    this.#users = users;
    this.#settings = settings;
    this.#sessions = new Sessions(settings.sessions, settings.secret, settings.now);
    this.#signing = Buffer.from(hkdfSync('sha256', settings.secret, '', 'everlog web state', 32));
    const isSecure = settings.url.startsWith('https:');
    this.#cookie = isSecure ? '__Host-everlog' : 'everlog';
    this.#attributes = `Path=/; HttpOnly; SameSite=Lax${isSecure ? '; Secure' : ''}`;
    this.routes = this.#makeRoutes();
  }

  async readerOf(visit: Visit): Promise<Reader | null> {
    const id = cookieIn(visit.headers.get('cookie') ?? [], this.#cookie);
    const session = id === null ? null : await this.#sessions.find(id);
    if (session === null) return null;
    const readsAll = this.#settings.auditors.has(session.id);
    const reader: Reader = { name: `${session.login} (${session.id})`, knownBy: 'github', readsAll };
    this.#sessionOf.set(reader, session);
    return reader;
  }

  async mayRead(reader: Reader, repository: RepositoryOf): Promise<boolean> {
    const session = this.#sessionOf.get(reader);
    if (session === undefined) return false;
    if (reader.readsAll) return true;
    const id = repository.repository_id;
    if (id === null || repository.host !== this.#settings.host) return false;
    const nowMs = this.#settings.now().getTime();
    // A new login brings a new token, which may see more or less than the one before.
    const name =
      `${session.id} ${session.untilMs} ${id} ${repository.owner}/${repository.repo}`.toLowerCase();
    const known = this.#answers.get(name);
    if (known !== undefined && known.untilMs > nowMs) return known.may;
    // By the id: somebody else may have registered the name of a repository that was deleted.
    const seen = await this.#users.repositoryId(session.token, repository.owner, repository.repo);
    const may = seen === id;
    if (this.#answers.size >= ANSWERS_MAX) this.#answers.clear();
    this.#answers.set(name, { may, untilMs: nowMs + (may ? YES_MS : NO_MS) });
    return may;
  }

  #makeRoutes(): Hono {
    const app = new Hono();
    app.get(LOGIN_PATH, (c) => loginPage(c, backIn(c.req.query('to')), null));
    app.get(BEGIN_PATH, (c) => this.#begin(c));
    app.get(DONE_PATH, (c) => this.#done(c));
    app.post(LOGOUT_PATH, async (c) => {
      // The cookie does not come with another site's form; this says so again.
      if (!['same-origin', 'none', undefined].includes(c.req.header('sec-fetch-site')))
        return c.text('Log out on the page itself.\n', 403);
      const id = cookieIn([c.req.header('cookie') ?? ''], this.#cookie);
      if (id !== null) await this.#sessions.end(id);
      c.header('set-cookie', `${this.#cookie}=; Max-Age=0; ${this.#attributes}`);
      return c.redirect(LOGIN_PATH, 303);
    });
    return app;
  }

  #begin(c: Context): Response {
    const [state, verifier] = [token(), token()];
    const untilMs = this.#settings.now().getTime() + STATE_SECONDS * 1_000;
    const back = Buffer.from(backIn(c.req.query('to'))).toString('base64url');
    const signed = this.#signed(`${state}.${verifier}.${untilMs}.${back}`);
    c.header('set-cookie', `${this.#cookie}-state=${signed}; Max-Age=${STATE_SECONDS}; ${this.#attributes}`);
    const challenge = createHash('sha256').update(verifier).digest('base64url');
    const redirectUrl = `${this.#settings.url}${DONE_PATH}`;
    return c.redirect(this.#users.authorizeUrl({ state, challenge, redirectUrl }), 302);
  }

  async #done(c: Context): Promise<Response> {
    const given = cookieIn([c.req.header('cookie') ?? ''], `${this.#cookie}-state`) ?? '';
    const [state = '', verifier = '', untilMs = '0', back = ''] = this.#verified(given)?.split('.') ?? [];
    const nowMs = this.#settings.now().getTime();
    const isOurs = state !== '' && isSame(state, c.req.query('state') ?? '') && Number(untilMs) > nowMs;
    const redirectUrl = `${this.#settings.url}${DONE_PATH}`;
    const user = isOurs ? await this.#users.exchange(c.req.query('code') ?? '', verifier, redirectUrl) : null;
    c.header('set-cookie', `${this.#cookie}-state=; Max-Age=0; ${this.#attributes}`);
    const to = backIn(Buffer.from(back, 'base64url').toString('utf8'));
    if (user === null)
      return loginPage(c, to, 'That login did not begin here, was refused, or took too long.', 403);
    const id = await this.#sessions.begin({ ...user, untilMs: nowMs + SESSION_MS });
    const cookie = `${this.#cookie}=${id}; Max-Age=${SESSION_MS / 1_000}; ${this.#attributes}`;
    c.header('set-cookie', cookie, { append: true });
    return c.redirect(to, 302);
  }

  #signed(text: string): string {
    return `${text}.${createHmac('sha256', this.#signing).update(text).digest('base64url')}`;
  }

  #verified(signed: string): string | null {
    const at = signed.lastIndexOf('.');
    const text = signed.slice(0, Math.max(0, at));
    return isSame(this.#signed(text), signed) ? text : null;
  }
}

function loginPage(c: Context, to: string, problem: string | null, status: 200 | 403 = 200): Response {
  const content = html`${noteOf(
    'Log in to read logs',
    'You see the repositories that GitHub lets you read, and no others.',
    html`<a class="go" href="${BEGIN_PATH}?to=${encodeURIComponent(to)}">Log in with GitHub</a>`,
  )}
  ${problem === null ? '' : html`<p class="seal wrong">${problem}</p>`}`;
  return c.html(pageOf({ title: 'Log in', crumbs: [] }, content), status);
}

/** An address on this page alone: nothing that a browser could take for another site's. */
function backIn(text: string | undefined): string {
  const isOurs =
    text !== undefined &&
    text.length <= BACK_CHARACTERS_MAX &&
    /^\/(?![/\\])[\x21-\x7e]*$/.test(text) &&
    !text.includes('\\') &&
    !text.startsWith(LOGIN_PATH);
  return isOurs ? text : '/';
}

function token(): string {
  return randomBytes(STATE_BYTES).toString('base64url');
}

function cookieIn(headers: readonly string[], name: string): string | null {
  const values: string[] = [];
  for (const pair of headers.join(';').split(';')) {
    const [key, value] = pair.trim().split('=');
    if (key === name && value !== undefined && value !== '') values.push(value);
  }
  // One that stands twice was put there by somebody else, and nobody knows which is theirs.
  return values.length === 1 ? (values[0] ?? null) : null;
}
