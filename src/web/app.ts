import { Hono } from 'hono';
import { ICON, SCRIPT, STYLE } from './assets.ts';
import { code, go, home, run } from './browse-routes.ts';
import { job } from './job-routes.ts';
import { LogWindows } from './log/log-window.ts';
import { SECURITY, visitOf, type Env } from './requests.ts';
import { Seals } from './seal.ts';
import { Site, type WebDeps } from './site.ts';
import { statusPage } from './status-page.ts';

/** The web page: GitHub's own paths, so that swapping the host of an address opens the archived log. */
export function createWeb(deps: WebDeps): Hono<Env> {
  const app = new Hono<Env>();
  const site = new Site(deps);
  const views = { windows: new LogWindows(deps.store), seals: new Seals(deps.store) };
  app.use('*', async (c, next) => {
    for (const [name, value] of Object.entries(SECURITY)) c.header(name, value);
    const host = c.req.header('host')?.toLowerCase() ?? '';
    const hosts = deps.hosts();
    if (hosts !== null && !hosts.includes(host)) return c.text('This name does not lead here.\n', 421);
    if (c.req.method !== 'GET' && c.req.method !== 'HEAD') return c.text('Only GET is answered here.\n', 405);
    return next();
  });
  asset(app, '/-/style.css', 'text/css; charset=utf-8', STYLE);
  asset(app, '/-/script.js', 'text/javascript; charset=utf-8', SCRIPT);
  asset(app, '/-/icon.svg', 'image/svg+xml', ICON);
  if (deps.login !== undefined) app.route('/', deps.login);
  app.use('*', async (c, next) => {
    // A page that another site makes a browser load must not be searched through for it.
    if (c.req.query('q') !== undefined && c.req.header('sec-fetch-site') === 'cross-site') {
      return c.text('Searches come from this page only.\n', 403);
    }
    const reader = await deps.access.readerOf(visitOf(c));
    if (reader === null && deps.access.login !== null) return c.redirect(deps.access.login, 302);
    if (reader === null) return c.text('You are not known here.\n', 401);
    c.set('reader', reader);
    return next();
  });
  app.get('/', (c) => home(site, c));
  app.get('/-/go', (c) => go(site, c));
  app.get('/-/status', async () => site.page('Status', [], statusPage(await deps.status())));
  const pages = new Hono<Env>();
  pages.get('/:owner/:repo/actions/runs/:run/job/:job', (c) => job(site, views, c, 'page'));
  pages.get('/:owner/:repo/actions/runs/:run/attempts/:attempt/job/:job', (c) => job(site, views, c, 'page'));
  pages.get('/:owner/:repo/actions/runs/:run/job/:job/raw', (c) => job(site, views, c, 'raw'));
  pages.get('/:owner/:repo/actions/runs/:run/job/:job/download', (c) => job(site, views, c, 'download'));
  pages.get('/:owner/:repo/actions/runs/:run/job/:job/proof', (c) => job(site, views, c, 'proof'));
  pages.get('/:owner/:repo/actions/runs/:run/attempts/:attempt', (c) => run(site, c));
  pages.get('/:owner/:repo/actions/runs/:run', (c) => run(site, c));
  pages.get('/:owner/:repo/*', (c) => code(site, c));
  pages.get('/:owner/:repo', (c) => code(site, c));
  app.route('/-/h/:host', pages);
  app.route('/', pages);
  app.notFound(() => site.missing());
  app.onError((error) => site.failed(error));
  return app;
}

function asset(app: Hono<Env>, path: string, type: string, body: string): void {
  app.get(path, (c) => c.body(body, 200, { 'content-type': type, 'cache-control': 'public, max-age=3600' }));
}
