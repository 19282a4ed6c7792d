import axe from 'axe-core';
import type { Browser, BrowserContext, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { memorySessions } from '../../src/web/access/sessions.ts';
import { GitHubLogin } from '../../src/web/access/github-login.ts';
import { openWebUnderTest, type WebUnderTest } from '../support/web/web-under-test.ts';
import { hostileTexts } from '../support/web/hostile-texts.ts';
import {
  addressOf,
  makeAbsence,
  makeRecord,
  storeJob,
  storeRecord,
} from '../support/oracles/archived-jobs.ts';
import { recordKey } from '../../src/archive/keys.ts';
import { beginLedger } from '../support/oracles/small-ledger.ts';
import { startBrowser } from '../support/web/browser.ts';

/** One browser and one archive for all: starting them takes longer than looking. */

const RUN = '/octo-org/Octo-Repo/actions/runs/29679449';
const SMALL = `${RUN}/job/399444496`;
const LARGE = `${RUN}/job/399444497`;
const UNSEALED = `${RUN}/job/399444499`;
const HOSTILE = hostileTexts(200);
/** A busy machine lays out a page in seconds. */
const PATIENCE = { timeout: 20_000 };

const STEPS = [1, 2, 3].map((number) => ({
  number,
  name: number === 2 ? (HOSTILE[0] ?? '') : `Step ${number}`,
  conclusion: number === 2 ? 'failure' : 'success',
  started_at: `2020-01-20T17:4${number}:00Z`,
  completed_at: `2020-01-20T17:4${number}:59Z`,
}));

function stamped(step: number, text: string): string {
  return `2020-01-20T17:4${step}:30.1234567Z ${text}`;
}

const SMALL_LOG = [
  stamped(1, 'set up'),
  stamped(2, '##[group]Run it'),
  stamped(2, 'inside'),
  stamped(2, '##[endgroup]'),
  ...HOSTILE.map((text) => stamped(2, text)),
  stamped(2, '##[error]first'),
  stamped(2, 'at src/a/b.ts:12:3 there'),
  stamped(2, '##[error]Process completed with exit code 1.'),
  stamped(3, 'done'),
].join('\n');
const LARGE_LOG = Array.from({ length: 12_000 }, (_, at) =>
  stamped(1 + Math.floor(at / 4_000), at === 6_500 ? '##[error]here it broke' : `line ${at + 1}`),
).join('\n');

let web: WebUnderTest;
let login: WebUnderTest;
let browser: Browser;

async function fill({ store }: WebUnderTest): Promise<void> {
  const [workflow_name = '', head_branch = '', runner_name = ''] = HOSTILE.slice(1, 4);
  const record = makeRecord({
    conclusion: 'failure',
    workflow_name,
    head_branch,
    runner_name,
    job_name: HOSTILE[5] ?? '',
    job: { steps: STEPS },
  });
  const [small, large, absent] = [
    await storeJob(store, record, SMALL_LOG),
    await storeJob(store, { ...record, job_id: 399_444_497, job_name: 'large' }, LARGE_LOG),
    makeAbsence('expired', { job_id: 399_444_498, run_attempt: 2, workflow_name }),
  ];
  await storeRecord(store, absent);
  const ledger = await beginLedger(store, '2020-01-20T17:00:00Z');
  const keys = [small, large, absent].map((record) => recordKey(addressOf(record), 1));
  await ledger.seal('2020-01-20T18:00:00Z', keys);
  const late = { job_id: 399_444_499, job_name: 'late', recorded_at: '2020-01-20T18:30:00Z' };
  await storeJob(store, makeRecord(late), 'one line\n');
}

beforeAll(async () => {
  browser = await startBrowser();
  web = await openWebUnderTest({ now: () => new Date('2020-01-20T19:00:00Z') });
  await fill(web);
  const access = new GitHubLogin(
    {
      authorizeUrl: () => 'https://github.com/login/oauth/authorize',
      exchange: async () => null,
      repositoryId: async () => null,
      holder: async () => null,
      seesRepository: async () => false,
    },
    {
      url: 'http://127.0.0.1',
      secret: 's'.repeat(32),
      auditors: new Set(),
      host: 'github.com',
      sessions: memorySessions(),
      now: () => new Date(),
    },
  );
  login = await openWebUnderTest({ access, login: access.routes });
});

afterAll(async () => {
  await browser?.close();
  await Promise.all([web?.close(), login?.close()]);
});

/** What is run in the browser is text here: its types are another world's. */
const KEEP_FIRST_ROWS = `for (const row of [...document.querySelectorAll('.block > div')].slice(60)) row.remove()`;
const faultsBy = (options: object): string => `window.axe.run(document, ${JSON.stringify(options)}).then(
  ({ violations }) => violations.map(({ id, nodes }) => [id, nodes[0].html, nodes[0].failureSummary].join(': ')))`;
const FAULTS = faultsBy({ resultTypes: ['violations'] });
const DARK_FAULTS = faultsBy({ resultTypes: ['violations'], runOnly: ['color-contrast'] });
const IS_WIDER = `document.documentElement.scrollWidth > innerWidth`;
/** Beside what the page itself brings: its script, its icon, its forms, its charts. */
const WHAT_ACTS = `({
  hit: document.documentElement.hasAttribute('data-hit'),
  foreign: [...document.querySelectorAll('script,img,iframe,object,embed,base,meta,link,svg,video,form,style')]
    .map((element) => element.outerHTML)
    .filter((html) => !/^<(script src="[/]-[/]|img src="[/]-[/]icon|link rel="(icon|stylesheet)" |meta (charset|name)=|form action="[/]|form class="logout")/.test(html)),
  handlers: [...document.querySelectorAll('*')].flatMap((element) =>
    [...element.attributes].map(({ name }) => name).filter((name) => name.startsWith('on') || name === 'style')),
  links: [...document.querySelectorAll('a')].map((link) => link.href).filter(
    (href) => !href.startsWith(location.origin) && !href.startsWith('https://github.com/octo-org/Octo-Repo/')),
})`;
/** The name of what has the focus, and whether that can be seen. */
const FOCUSED = `(() => {
  const element = document.activeElement;
  if (element === null || element === document.body) return '';
  const name = element.textContent.trim() || element.getAttribute('aria-label') || element.name;
  const isSeen = getComputedStyle(element).outlineWidth !== '0px' && element.getBoundingClientRect().width > 0;
  return name.split('\\n')[0] + '\\n' + (isSeen ? 'seen' : 'hidden');
})()`;

/** A page whose every request, refusal by the security policy, error and dialog is kept. */
async function open(options: Parameters<Browser['newContext']>[0] = {}): Promise<{
  readonly context: BrowserContext;
  readonly page: Page;
  readonly faults: string[];
}> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  const faults: string[] = [];
  page.on('dialog', (dialog) => {
    faults.push(`dialog ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('pageerror', (error) => faults.push(`error ${error.message}`));
  page.on('console', (message) => {
    if (/Content Security Policy|Refused/.test(message.text())) faults.push(message.text());
  });
  page.on('request', (request) => {
    const { origin } = new URL(request.url());
    if (![web.url, login.url].some((ours) => new URL(ours).origin === origin)) faults.push(request.url());
  });
  return { context, page, faults };
}

const KINDS: readonly (readonly [string, () => string])[] = [
  ['the newest jobs', () => `${web.url}/`],
  ['a filter in use', () => `${web.url}/?branch=main&since=2020-01-01`],
  ['a repository', () => `${web.url}/octo-org/Octo-Repo`],
  ['a run', () => `${web.url}${RUN}`],
  ['a small log', () => `${web.url}${SMALL}`],
  ['a window of a large log', () => `${web.url}${LARGE}?line=12000`],
  ['a search', () => `${web.url}${SMALL}?q=script`],
  ['no log', () => `${web.url}${RUN}/job/399444498`],
  ['not sealed', () => `${web.url}${UNSEALED}`],
  ['a proof', () => `${web.url}${SMALL}/proof`],
  ['the status', () => `${web.url}/-/status`],
  ['the days', () => `${web.url}/-/days`],
  ['not found', () => `${web.url}${RUN}/job/1`],
  ['no address', () => `${web.url}/-/go?u=nonsense`],
  ['a login', () => `${login.url}/-/login?to=%2Fa%2Fb`],
];

describe('every kind of page', () => {
  test('has no fault that axe finds, light or dark, loads nothing from elsewhere, and fits a phone', async () => {
    const { context, page, faults } = await open();
    for (const [name, url] of KINDS) {
      await page.goto(url());
      await page.evaluate(KEEP_FIRST_ROWS);
      await page.evaluate(axe.source);
      for (const scheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme: scheme });
        const found = await page.evaluate(scheme === 'dark' ? DARK_FAULTS : FAULTS);
        expect([name, scheme, found]).toEqual([name, scheme, []]);
      }
      await page.setViewportSize({ width: 390, height: 800 });
      expect([name, await page.evaluate(IS_WIDER)]).toEqual([name, false]);
      await page.setViewportSize({ width: 1280, height: 800 });
    }
    expect(faults).toEqual([]);
    await context.close();
  });

  test('works without JavaScript', async () => {
    const { context, page, faults } = await open({ javaScriptEnabled: false });
    for (const [name, url] of KINDS) {
      await page.goto(url());
      expect([name, await page.locator('h1').count()]).toEqual([name, 1]);
    }
    await page.goto(`${web.url}${SMALL}?line=1`);
    await page.getByText('set up', { exact: true }).waitFor({ state: 'visible' });
    expect(await page.locator('.sel').textContent()).toBe('set up');
    await page.goto(`${web.url}${LARGE}`);
    await page.getByRole('link', { name: 'Next lines' }).first().click();
    await page.locator('#L8001').waitFor({ state: 'visible' });
    await page.goto(`${web.url}/`);
    await page.getByRole('textbox', { name: 'GitHub address' }).fill(`https://github.com${SMALL}`);
    await page.getByRole('button', { name: 'Open' }).click();
    expect(new URL(page.url()).pathname).toBe(SMALL);
    expect(faults).toEqual([]);
    await context.close();
  });
});

test('two hundred hostile lines and names stand in the page as text, and nothing of them acts', async () => {
  const { context, page, faults } = await open();
  await page.addInitScript(`window.alert = () => document.documentElement.setAttribute('data-hit', '1')`);
  for (const url of [`${web.url}/`, `${web.url}${RUN}`, `${web.url}${SMALL}`, `${web.url}${SMALL}/proof`]) {
    await page.goto(url);
    expect({ url, found: await page.evaluate(WHAT_ACTS) }).toEqual({
      url,
      found: { hit: false, foreign: [], handlers: [], links: [] },
    });
  }
  await page.goto(`${web.url}${SMALL}`);
  // Each line is there, and with what it says: only what acts on a terminal is gone.
  const shown = await page.locator('.step.bad [data-n]').count();
  const ends = HOSTILE.filter((text) => text.startsWith('##[endgroup]')).length;
  expect(shown).toBe(HOSTILE.length - ends + 5);
  expect(await page.locator('.step.bad').textContent()).toContain('<script>alert(1)</script>');
  expect(faults).toEqual([]);
  await context.close();
});

describe('a log', () => {
  test('opens at its last error, goes from error to error by n and p, and to its search by /', async () => {
    const { context, page } = await open();
    await page.goto(`${web.url}${SMALL}`);
    const rows = page.locator('.error');
    await expect.poll(() => isInView(rows.last()), PATIENCE).toBe(true);
    await page.keyboard.press('n');
    expect(await rows.nth(0).getAttribute('class')).toContain('sel');
    await page.keyboard.press('n');
    expect(await rows.nth(1).getAttribute('class')).toContain('sel');
    await page.keyboard.press('p');
    expect(await rows.nth(0).getAttribute('class')).toContain('sel');
    await page.keyboard.press('/');
    await page.keyboard.type('set up');
    await page.keyboard.press('Enter');
    await page.getByText('1 line holds').waitFor();
    await context.close();
  });

  test('opens where GitHub’s own fragment points, in a window as well', async () => {
    const { context, page } = await open();
    await page.goto(`${web.url}${SMALL}#step:1:1`);
    await page.locator('#L1.sel').waitFor({ state: 'visible' });
    await page.goto(`${web.url}${LARGE}#step:3:120`);
    await page.locator('#L8120.sel').waitFor({ state: 'visible' });
    expect(new URL(page.url()).searchParams.get('line')).toBe('8120');
    await context.close();
  });

  test('keeps the lines that are selected in its address, and a copied address opens there', async () => {
    const { context, page } = await open();
    await page.goto(`${web.url}${SMALL}`);
    await page.locator('#L10').click({ position: { x: 10, y: 5 } });
    await page.locator('#L14').click({ position: { x: 10, y: 5 }, modifiers: ['Shift'] });
    const copied = page.url();
    expect(new URL(copied).searchParams.get('line')).toBe('10-14');
    const other = await context.newPage();
    await other.goto(copied);
    expect(await other.locator('.sel').count()).toBe(5);
    await expect.poll(() => isInView(other.locator('#L10')), PATIENCE).toBe(true);
    await context.close();
  });

  test('shows times as they are, here, in UTC, or since the job began', async () => {
    const { context, page } = await open({ timezoneId: 'Asia/Tokyo' });
    await page.goto(`${web.url}${SMALL}`);
    const shown = async (): Promise<string | null> => page.locator('#L5').getAttribute('data-t');
    const times = page.getByRole('button', { name: /^Times/ });
    await times.click();
    expect(await shown()).toBe('02:42:30.123');
    await times.click();
    expect(await shown()).toBe('17:42:30.123Z');
    await times.click();
    expect(await shown()).toBe('-9.877 s');
    await context.close();
  });

  test('links places in the source at the commit', async () => {
    const { context, page } = await open();
    await page.goto(`${web.url}${SMALL}`);
    expect(await page.getByRole('link', { name: 'src/a/b.ts:12:3' }).getAttribute('href')).toBe(
      'https://github.com/octo-org/Octo-Repo/blob/f83a356604ae3c5d03e1b46ef4d1ca77d64a90b0/src/a/b.ts#L12',
    );
    await context.close();
  });
});

test('every way on is reached by the keyboard, in an order that can be seen', async () => {
  const { context, page } = await open();
  await page.goto(`${web.url}${LARGE}`);
  const reached = new Set<string>();
  for (let press = 0; press < 40; press += 1) {
    await page.keyboard.press('Tab');
    const [name, isSeen] = String(await page.evaluate(FOCUSED)).split('\n');
    if (name === undefined || name === '') break;
    expect([name, isSeen]).toEqual([name, 'seen']);
    reached.add(name);
  }
  for (const name of [
    'Everlog',
    'Octo-Repo',
    'run 29679449',
    'Open',
    'Status',
    'Raw',
    'Download',
    'Proof',
    'Step 1',
  ])
    expect([...reached]).toContain(name);
  expect([...reached].some((name) => name.startsWith('Next lines'))).toBe(true);
  await context.close();
});

async function isInView(row: Locator): Promise<boolean> {
  const box = await row.boundingBox();
  return box !== null && box.y >= 0 && box.y + box.height <= 800;
}
