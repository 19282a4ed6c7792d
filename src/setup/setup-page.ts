import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { Hono } from 'hono';
import { getCookie, setCookie } from 'hono/cookie';
import { EverlogError, messageOf } from '../errors.ts';
import type { GitHubHost } from '../github/host.ts';
import { formActionOf, manifestOf, webOriginOf, type Registration } from './manifest.ts';

export interface SetupDeps {
  readonly host: GitHubHost;
  readonly registration: Registration;
  /** Where this page is reached, known once it listens. */
  readonly origin: () => string;
  /** What the address that was printed ends with; good once. */
  readonly token: string;
  /** Called with GitHub's code, once; the page shows what it returns, or that it failed. */
  readonly onCode: (code: string) => Promise<{ readonly installUrl: string }>;
  /** Told of every request: the page ends when nobody has come for a while. */
  readonly onVisit: () => void;
}

const COOKIE = 'everlog_setup';
/** A person fills GitHub's form within minutes. */
const COOKIE_SECONDS = 600;
const STATE_BYTES = 24;

/** The page on loopback that posts the manifest to GitHub and takes the code that comes back. */
export function createSetupPage(deps: SetupDeps): Hono {
  const key = randomBytes(32);
  const state = randomBytes(STATE_BYTES).toString('base64url');
  const signed = `${state}.${createHmac('sha256', key).update(state).digest('base64url')}`;
  let opened = false;
  let used = false;
  const app = new Hono();
  app.use('*', async (c, next) => {
    deps.onVisit();
    const { host } = new URL(deps.origin());
    const allowed = [host, host.replace('127.0.0.1', 'localhost')];
    if (!allowed.includes(c.req.header('host')?.toLowerCase() ?? ''))
      return c.text('This name does not lead here.\n', 421);
    c.header('cache-control', 'no-store');
    c.header('x-content-type-options', 'nosniff');
    c.header('referrer-policy', 'no-referrer');
    c.header(
      'content-security-policy',
      `default-src 'none'; form-action ${webOriginOf(deps.host)}; base-uri 'none'; frame-ancestors 'none'`,
    );
    return next();
  });
  app.get('/', (c) => {
    if (opened || !isExpected(c.req.query('t') ?? '', deps.token)) {
      return c.text(
        'This address was opened before, or is not the one that was printed. Run everlog setup again.\n',
        403,
      );
    }
    opened = true;
    setCookie(c, COOKIE, signed, { httpOnly: true, sameSite: 'Lax', path: '/', maxAge: COOKIE_SECONDS });
    const manifest = JSON.stringify(manifestOf(deps.registration, `${deps.origin()}/created`));
    return c.html(
      startPage(formActionOf(deps.host, deps.registration.organisation, state), manifest, deps.registration),
    );
  });
  app.get('/created', async (c) => {
    const code = c.req.query('code') ?? '';
    const isOurs =
      isExpected(getCookie(c, COOKIE) ?? '', signed) && isExpected(c.req.query('state') ?? '', state);
    if (!isOurs || used || !/^[A-Za-z0-9_-]{1,200}$/.test(code)) {
      return c.text('This did not come from the page that everlog setup opened, or came twice.\n', 403);
    }
    used = true;
    try {
      const { installUrl } = await deps.onCode(code);
      return c.html(donePage(installUrl));
    } catch (error) {
      const what = error instanceof EverlogError ? error.message : messageOf(error);
      return c.html(
        page(
          'It did not work',
          `<p>${escape(what)}</p><p>The terminal says more. Run <code>everlog setup</code> again.</p>`,
        ),
        502,
      );
    }
  });
  app.notFound((c) => c.text('Here is only the page that everlog setup printed.\n', 404));
  return app;
}

function startPage(
  action: string,
  manifest: string,
  { name, webhookUrl, organisation }: Registration,
): string {
  return page(
    'Register the GitHub App',
    `<p>GitHub will ask you to create <b>${escape(name)}</b>${organisation === null ? '' : ` in <b>${escape(organisation)}</b>`}, which may read Actions and metadata and nothing else, and sends its deliveries to <code>${escape(webhookUrl)}</code>.</p>
<form action="${escape(action)}" method="post"><input type="hidden" name="manifest" value="${escape(manifest)}"><button autofocus>Go on to GitHub</button></form>`,
  );
}

function donePage(installUrl: string): string {
  return page(
    'The App is registered',
    `<p>Its credentials are where the terminal says. Now choose the repositories:</p><p><a href="${escape(installUrl)}">Install it</a></p>`,
  );
}

function page(title: string, content: string): string {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark"><title>${title} · Everlog</title></head><body><main><h1>${title}</h1>${content}</main></body></html>`;
}

function escape(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

function isExpected(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}
