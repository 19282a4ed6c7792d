import { Hono } from 'hono';
import { isNameForKeys } from '../archive/keys.ts';
import { SCRIPT } from './assets/script.ts';
import { ICON, STYLE } from './assets/style.ts';
import { code, go, home, run } from './browse/browse-routes.ts';
import { CoverageLooks } from './browse/coverage-marks.ts';
import { DaySums } from './browse/day-sums.ts';
import { DigestDays } from './browse/digest-days.ts';
import { days, gaps, status } from './browse/operator-routes.ts';
import { compressPages } from './compression.ts';
import { withKeptNames } from './kept-names.ts';
import { job } from './log/job-routes.ts';
import { LogWindows } from './log/log-window.ts';
import { SECURITY, visitOf, type Env } from './requests.ts';
import { Seals } from './seal.ts';
import { Site, type WebDeps } from './site.ts';
import { Turns, type TurnLimits } from './turns.ts';

/** Where somebody who has logged in leaves; all else is only read. */
const LOGOUT_PATH = '/-/logout';
/** Logs read through, each of which takes a core. */
const PASSES: TurnLimits = { atOnce: 2, waiting: 64, ofOneReader: 16 };
/** Pages that hold a whole log of up to 2 MiB, and its HTML, while they are made. */
const WHOLE_PAGES: TurnLimits = { atOnce: 8, waiting: 1_000, ofOneReader: 200 };
/** Logs and bundles being sent: each holds a file of the store open, or one in the spool folder, for as long as its reader takes. */
const SENDINGS: TurnLimits = { atOnce: 64, waiting: 0, ofOneReader: 8 };

/** The web page: GitHub's own paths, so that swapping the host of an address opens the archived log. */
export function createWeb(deps: WebDeps): Hono<Env> {
  const app = new Hono<Env>();
  const site = new Site({ ...deps, store: withKeptNames(deps.store, deps.now) });
  app.use('*', compressPages);
  app.use('*', async (c, next) => {
    for (const [name, value] of Object.entries(SECURITY)) c.header(name, value);
    const host = c.req.header('host')?.toLowerCase() ?? '';
    const hosts = deps.hosts();
    if (hosts !== null && !hosts.includes(host)) return c.text('This name does not lead here.\n', 421);
    const isLogout = c.req.method === 'POST' && c.req.path === LOGOUT_PATH && deps.login !== undefined;
    if (c.req.method !== 'GET' && c.req.method !== 'HEAD' && !isLogout)
      return c.text('Only GET is answered here.\n', 405);
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
    if (reader === null && deps.access.login !== null) {
      const { pathname, search } = new URL(c.req.url);
      const back = pathname === '/' ? '' : `?to=${encodeURIComponent(`${pathname}${search}`)}`;
      return c.redirect(`${deps.access.login}${back}`, 302);
    }
    if (reader === null) return c.text('You are not known here.\n', 401);
    c.set('reader', reader);
    return next();
  });
  addPages(app, site);
  app.notFound(() => site.missing());
  app.onError((error, c) => site.failed(error, c.req.raw.signal.aborted));
  return app;
}

function addPages(app: Hono<Env>, site: Site): void {
  const { store } = site.deps;
  const passes = new Turns(PASSES);
  const views = {
    windows: new LogWindows(store, passes, new Turns(WHOLE_PAGES)),
    seals: new Seals(store, site.deps.now),
    passes,
    sendings: new Turns(SENDINGS),
  };
  const browsing = { coverage: new CoverageLooks(store), sums: new DaySums(site) };
  const digestDays = new DigestDays(store);
  app.get('/', (c) => home(site, browsing, c));
  app.get('/-/go', (c) => go(site, c));
  app.get('/-/status', (c) => status(site, browsing.sums, c));
  app.get('/-/days', (c) => days(site, digestDays, browsing.sums, c));
  app.get('/-/days/:day', (c) => gaps(site, digestDays, c));
  const pages = new Hono<Env>();
  pages.use('/:owner/:repo/*', async (c, next) => {
    const { owner, repo } = c.req.param();
    const host = c.req.param('host') ?? (await site.mainHost());
    const isName = [owner, repo].every((name) => isNameForKeys(name));
    return isName && (await site.maySee(c, { host, owner, repo })) ? next() : site.missing();
  });
  const ofJob = '/:owner/:repo/actions/runs/:run/job/:job';
  pages.get(ofJob, (c) => job(site, views, c, 'page'));
  pages.get('/:owner/:repo/actions/runs/:run/attempts/:attempt/job/:job', (c) => job(site, views, c, 'page'));
  for (const kind of ['raw', 'download', 'proof'] as const)
    pages.get(`${ofJob}/${kind}`, (c) => job(site, views, c, kind));
  pages.get(`${ofJob}/proof/bundle`, (c) => job(site, views, c, 'bundle'));
  pages.get('/:owner/:repo/actions/runs/:run/attempts/:attempt', (c) => run(site, browsing, c));
  pages.get('/:owner/:repo/actions/runs/:run', (c) => run(site, browsing, c));
  pages.get('/:owner/:repo/*', (c) => code(site, browsing, c));
  pages.get('/:owner/:repo', (c) => code(site, browsing, c));
  app.route('/-/h/:host', pages);
  app.route('/', pages);
}

function asset(app: Hono<Env>, path: string, type: string, body: string): void {
  app.get(path, (c) => c.body(body, 200, { 'content-type': type, 'cache-control': 'public, max-age=3600' }));
}
