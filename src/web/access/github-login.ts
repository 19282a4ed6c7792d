import { createHash, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { Hono } from 'hono';
import type { Context } from 'hono';
import { EverlogError } from '../../errors.ts';
import type { GitHubUsers } from '../../github/network/users.ts';
import { html } from '../html.ts';
import { noteHtml, pageOf } from '../page.ts';
import { isSame, type Access, type RepositoryPath, type Reader, type Visit } from './access.ts';
import type { RecordRepository } from '../../archive/record.ts';
import { KeptAnswers } from './kept-answers.ts';
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

/** People who log in with GitHub: each request asks whether their own token sees the repository by its id. */
export class GitHubLogin implements Access {
  readonly login = LOGIN_PATH;
  readonly routes: Hono;
  readonly #users: GitHubUsers;
  readonly #settings: LoginSettings;
  readonly #sessions: Sessions;
  /** Of the readers of requests that are being answered. */
  readonly #sessionOf = new WeakMap<Reader, Session>();
  /** What GitHub said of a session and a repository, by its name and by its id. */
  readonly #ids: KeptAnswers<number | null>;
  readonly #sights: KeptAnswers<boolean>;
  /** Whether GitHub still takes the token of a session. */
  readonly #holders: KeptAnswers<boolean>;
  readonly #signing: Buffer;
  readonly #cookie: string;
  readonly #attributes: string;

  constructor(users: GitHubUsers, settings: LoginSettings) {
    this.#users = users;
    this.#settings = settings;
    this.#sessions = new Sessions(settings.sessions, settings.secret, settings.now);
    const kept = <T>(isYes: (answer: T) => boolean): KeptAnswers<T> =>
      new KeptAnswers(settings.now, (answer) => (isYes(answer) ? YES_MS : NO_MS));
    this.#ids = kept((id) => id !== null);
    this.#sights = kept((sees) => sees);
    this.#holders = kept((isGood) => isGood);
    this.#signing = Buffer.from(hkdfSync('sha256', settings.secret, '', 'everlog web state', 32));
    const isSecure = settings.url.startsWith('https:');
    this.#cookie = isSecure ? '__Host-everlog' : 'everlog';
    this.#attributes = `Path=/; HttpOnly; SameSite=Lax${isSecure ? '; Secure' : ''}`;
    this.routes = this.#makeRoutes();
  }

  async readerOf(visit: Visit): Promise<Reader | null> {
    const id = cookieIn(visit.headers.get('cookie') ?? [], this.#cookie);
    const session = id === null ? null : await this.#sessions.find(id);
    if (id === null || session === null) return null;
    if (!(await this.#isHeld(session))) {
      await this.#sessions.end(id);
      return null;
    }
    const readsAll = this.#settings.auditors.has(session.id);
    const reader: Reader = { name: `${session.login} (${session.id})`, knownBy: 'github', readsAll };
    this.#sessionOf.set(reader, session);
    return reader;
  }

  async maySee(reader: Reader, { host, owner, repo }: RepositoryPath): Promise<boolean> {
    const session = this.#sessionOf.get(reader);
    if (session === undefined) return false;
    if (reader.readsAll) return true;
    return host === this.#settings.host && (await this.#idSeen(session, owner, repo)) !== null;
  }

  async mayRead(reader: Reader, repository: RecordRepository): Promise<boolean> {
    const session = this.#sessionOf.get(reader);
    if (session === undefined) return false;
    if (reader.readsAll) return true;
    const id = repository.repository_id;
    if (id === null || repository.host !== this.#settings.host) return false;
    // By the id: somebody else may have registered the name of a repository that was deleted.
    return this.#sights.of(`${nameOf(session)} ${id}`, () => this.#users.seesRepository(session.token, id));
  }

  /** The id of the repository of a name, as somebody sees it. */
  async #idSeen(session: Session, owner: string, repo: string): Promise<number | null> {
    const place = `${nameOf(session)} ${owner}/${repo}`.toLowerCase();
    return this.#ids.of(place, async () => {
      const id = await this.#users.repositoryId(session.token, owner, repo);
      // Who sees it by its name sees it by its id, too: it need not be asked for twice.
      if (id !== null) this.#sights.know(`${nameOf(session)} ${id}`, true);
      return id;
    });
  }

  /** Whether a session is still of somebody whom GitHub knows: a token may be revoked, or its user be suspended. */
  async #isHeld(session: Session): Promise<boolean> {
    const ask = async (): Promise<boolean> => (await this.#users.holder(session.token)) === session.id;
    try {
      return await this.#holders.of(nameOf(session), ask);
    } catch (error) {
      // That GitHub does not answer takes nothing from anybody; what they may read is asked all the same.
      if (error instanceof EverlogError && error.code === 'github_unavailable') return true;
      throw error;
    }
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
    const earlier = cookieIn([c.req.header('cookie') ?? ''], this.#cookie);
    if (earlier !== null) await this.#sessions.end(earlier);
    const session = { ...user, untilMs: nowMs + SESSION_MS };
    const id = await this.#sessions.begin(session);
    this.#holders.know(nameOf(session), true);
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
  const content = html`${noteHtml(
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

/** A new login brings a new token, which may see more or less than the one before. */
function nameOf({ id, untilMs }: Session): string {
  return `${id} ${untilMs}`;
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
