import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startSimulator, type Simulator } from '../../src/simulator/simulator.ts';

const MAIN = join(import.meta.dirname, '../../dist/src/cli/main.js');
const HOOK = 'https://everlog.example.com/webhooks';

interface Running {
  readonly folder: string;
  readonly address: URL;
  readonly stdout: () => string;
  readonly ended: Promise<number | null>;
}

/** `everlog setup` as a process, once it has printed its address. */
async function startSetup(simulator: Simulator, ...args: readonly string[]): Promise<Running> {
  const folder = mkdtempSync(join(tmpdir(), 'everlog-setup-'));
  const env = {
    PATH: process.env['PATH'],
    EVERLOG_GITHUB_PRIVATE_CIDRS: '127.0.0.0/8',
    EVERLOG_GITHUB_API_URL: simulator.apiUrl,
  };
  const child = spawn(process.execPath, [MAIN, 'setup', '--webhook-url', HOOK, '--no-open', ...args], {
    cwd: folder,
    env,
  });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  const ended = new Promise<number | null>((resolve) => {
    child.on('close', resolve);
  });
  const address = await new Promise<URL>((resolve, reject) => {
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
      const [printed] = /http:\/\/127\.0\.0\.1:\d+\/\?t=\S+/.exec(stderr) ?? [];
      if (printed !== undefined) resolve(new URL(printed));
    });
    child.on('close', () => reject(new Error(stderr)));
  });
  return { folder, address, stdout: () => stdout, ended };
}

async function simulated(options: Parameters<typeof startSimulator>[0] = {}): Promise<Simulator> {
  const simulator = await startSimulator(options);
  onTestFinished(() => simulator.close());
  return simulator;
}

/** What a browser would send to GitHub, and bring back from there. */
async function openPage({
  address,
}: Running): Promise<{ form: URL; manifest: Record<string, unknown>; cookie: string }> {
  const page = await fetch(address);
  const html = await page.text();
  const unescaped = html.replaceAll(/&#(\d+);/g, (_, code: string) => String.fromCharCode(Number(code)));
  const [, action = ''] = /<form action="([^"]+)"/.exec(unescaped) ?? [];
  const [, manifest = ''] = /name="manifest" value="(\{.*\})"><button/.exec(unescaped) ?? [];
  expect(page.headers.get('content-security-policy')).toContain(`form-action ${new URL(action).origin}`);
  return {
    form: new URL(action),
    manifest: JSON.parse(manifest),
    cookie: (page.headers.get('set-cookie') ?? '').split(';')[0] ?? '',
  };
}

test('from a click to credentials that only their owner can read, with the webhook set', async () => {
  const simulator = await simulated({ apiPrefix: '/api/v3' });
  const running = await startSetup(simulator, '--org', 'octo-org', '--json');
  const { form, manifest, cookie } = await openPage(running);
  expect(form.pathname).toBe('/organizations/octo-org/settings/apps/new');
  expect(manifest).toMatchObject({
    public: false,
    hook_attributes: { url: HOOK, active: true },
    redirect_url: `${running.address.origin}/created`,
    default_permissions: { actions: 'read', metadata: 'read' },
    default_events: ['workflow_job', 'workflow_run'],
  });
  const state = form.searchParams.get('state') ?? '';
  const created = await fetch(`${running.address.origin}/created?code=code-1&state=${state}`, {
    headers: { cookie },
  });
  expect([created.status, await created.text()]).toEqual([
    200,
    expect.stringContaining('/installations/new'),
  ]);
  expect(await running.ended).toBe(0);

  const file = (name: string): string => join(running.folder, 'everlog-github', name);
  for (const name of ['app.pem', 'webhook-secret', 'client-secret', 'everlog.env'])
    expect(statSync(file(name)).mode & 0o777).toBe(0o600);
  expect(readFileSync(file('app.pem'), 'utf8')).toBe(simulator.privateKeyPem);
  expect(readFileSync(file('everlog.env'), 'utf8')).toContain(`EVERLOG_GITHUB_APP_ID=${simulator.appId}\n`);
  expect(readFileSync(file('everlog.env'), 'utf8')).toContain(`EVERLOG_GITHUB_API_URL=${simulator.apiUrl}\n`);
  // Deliveries are signed with the secret that was written and go where they were meant to.
  expect(readFileSync(file('webhook-secret'), 'utf8')).toMatch(/^[0-9a-f]{64}\n$/);
  expect(simulator.deliveries.url).toBe(HOOK);
  expect(JSON.parse(running.stdout())).toMatchObject({ app_id: simulator.appId });
  expect(running.stdout()).not.toContain('PRIVATE KEY');
});

test('another name, a second opening, and what did not come from the page are refused', async () => {
  const simulator = await simulated();
  const running = await startSetup(simulator);
  const { origin } = running.address;
  const wrong = await fetch(new URL('/?t=wrong', origin));
  expect(wrong.status).toBe(403);
  const { form, cookie } = await openPage(running);
  expect((await fetch(running.address)).status).toBe(403);
  const state = form.searchParams.get('state') ?? '';
  const tries: readonly (readonly [string, Record<string, string>])[] = [
    [`/created?code=code-1&state=${state}`, {}],
    ['/created?code=code-1&state=other', { cookie }],
    [`/created?state=${state}`, { cookie }],
    [`/created?code=code-1&state=${state}`, { cookie: `${cookie}x` }],
  ];
  for (const [path, headers] of tries) expect((await fetch(origin + path, { headers })).status).toBe(403);
  const rebound = await new Promise<number>((resolve) => {
    void import('node:http').then(({ get }) =>
      get(origin, { headers: { host: 'evil.example' } }, (answer) => resolve(answer.statusCode ?? 0)),
    );
  });
  expect(rebound).toBe(421);
});

test('a code that GitHub does not take is told, and credentials can be printed for a secret store', async () => {
  const simulator = await simulated();
  const first = await startSetup(simulator);
  const page = await openPage(first);
  const refused = await fetch(
    `${first.address.origin}/created?code=stale&state=${page.form.searchParams.get('state') ?? ''}`,
    {
      headers: { cookie: page.cookie },
    },
  );
  expect([refused.status, await refused.text()]).toEqual([
    502,
    expect.stringContaining('GitHub answers 404 for the code'),
  ]);

  const second = await startSetup(simulator, '--print', 'k8s');
  const again = await openPage(second);
  await fetch(
    `${second.address.origin}/created?code=code-2&state=${again.form.searchParams.get('state') ?? ''}`,
    {
      headers: { cookie: again.cookie },
    },
  );
  expect(await second.ended).toBe(0);
  const [, id = ''] = /EVERLOG_GITHUB_APP_ID: (\S+)/.exec(second.stdout()) ?? [];
  expect(Buffer.from(id, 'base64').toString()).toBe(String(simulator.appId));
});
