import { randomBytes } from 'node:crypto';
import { Option, type Command } from 'commander';
import { hostAt } from '../../config.ts';
import { giveUp } from '../../errors.ts';
import { openConnections } from '../../github/network/connections.ts';
import { listenHttp } from '../../receiver/serve.ts';
import {
  PRINT_FORMATS,
  printedCredentials,
  writeCredentials,
  type PrintFormat,
} from '../../setup/credentials-files.ts';
import { exchangeCode, setWebhook } from '../../setup/register-app.ts';
import { createSetupPage } from '../../setup/setup-page.ts';
import { EXIT } from '../exit.ts';
import { print, tell } from '../terminal/print.ts';
import { openInBrowser } from '../terminal/browser.ts';

interface SetupOptions {
  readonly webhookUrl: string;
  readonly org?: string;
  readonly apiUrl?: string;
  readonly name: string;
  readonly out: string;
  readonly print?: PrintFormat;
  readonly port: string;
  readonly open: boolean;
  readonly json?: boolean;
}

/** Nobody comes for so long: the page ends. */
const IDLE_MS = 10 * 60_000;
const IDLE_CHECK_MS = 1_000;
const TOKEN_BYTES = 24;
const SECRET_BYTES = 32;
const HTTP_DRAIN_MS = 2_000;

/** `everlog setup`: registers the GitHub App by its manifest and keeps its credentials. */
export function registerSetup(program: Command, done: (exit: number) => void): void {
  program
    .command('setup')
    .description('register the GitHub App in a browser and write its credentials')
    .requiredOption(
      '--webhook-url <url>',
      'where GitHub will reach the receiver, such as https://everlog.example.com/webhooks',
    )
    .option('--org <name>', 'the organisation that is to own the App; else you')
    .option('--api-url <url>', 'of GHES (https://HOST/api/v3) or GHE.com (https://api.SUB.ghe.com)')
    .option('--name <name>', 'of the App', 'Everlog')
    .option('--out <folder>', 'where the credentials are written, mode 0600', 'everlog-github')
    .addOption(
      new Option('--print <format>', 'print the credentials for a secret store instead').choices(
        PRINT_FORMATS,
      ),
    )
    .option('--port <port>', 'of the page on 127.0.0.1', '0')
    .option('--no-open', 'do not open a browser')
    .option('--json', 'one JSON document, without secrets')
    .action(async (options: SetupOptions) => {
      done(await setup(options));
    });
}

/**
 * Listens on 127.0.0.1 until the App is registered or nobody has come for ten minutes.
 * @throws EverlogError `usage`, `config_invalid` for what was given wrongly, `github_refused`
 */
async function setup(options: SetupOptions): Promise<number> {
  checkWebhookUrl(options.webhookUrl);
  const port = /^\d{1,5}$/.test(options.port) ? Number(options.port) : Number.NaN;
  if (!(port <= 65_535)) throw giveUp('usage', 'setup: --port takes a number up to 65535');
  const { host, proxies } = hostAt(options.apiUrl ?? null);
  const connections = openConnections(host, proxies);
  const token = randomBytes(TOKEN_BYTES).toString('base64url');
  const webhookSecret = randomBytes(SECRET_BYTES).toString('hex');
  const apiUrl = host.apiUrl === 'https://api.github.com' ? null : host.apiUrl;
  let visitedMs = Date.now();
  let finish: (installUrl: string) => void = () => undefined;
  const finished = new Promise<string>((resolve) => {
    finish = resolve;
  });
  let origin = '';
  const registration = {
    name: options.name,
    webhookUrl: options.webhookUrl,
    organisation: options.org ?? null,
  };
  const app = createSetupPage({
    host,
    registration,
    token,
    origin: () => origin,
    onVisit: () => {
      visitedMs = Date.now();
    },
    async onCode(code) {
      const created = await exchangeCode(host, connections, code);
      const credentials = { app: created, webhookSecret, apiUrl };
      // Kept before anything else can fail: GitHub gives them once.
      const files = options.print === undefined ? await writeCredentials(options.out, credentials) : [];
      if (options.print !== undefined) print(printedCredentials(credentials, options.print));
      await setWebhook(host, connections, created, { url: options.webhookUrl, secret: webhookSecret });
      const installUrl = `${created.url}/installations/new`;
      tellRegistered(options, created.id, files, installUrl);
      finish(installUrl);
      return { installUrl };
    },
  });
  const listener = await listenHttp({ app, host: '127.0.0.1', port });
  origin = listener.url;
  const address = `${origin}/?t=${token}`;
  tell(`Open this address in a browser on this machine; it is good once:\n\n  ${address}\n\n`);
  if (options.open && process.stderr.isTTY) openInBrowser(address);
  const idle = await Promise.race([finished.then(() => false), idleFor(() => visitedMs)]);
  await listener.close(HTTP_DRAIN_MS);
  await connections.close();
  if (!idle) return EXIT.ok;
  tell('everlog setup: nobody came for ten minutes; nothing was registered.\n');
  return EXIT.failed;
}

function checkWebhookUrl(text: string): void {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw giveUp(
      'usage',
      'setup: --webhook-url takes an address such as https://everlog.example.com/webhooks',
    );
  }
}

async function idleFor(visitedMs: () => number): Promise<true> {
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      if (Date.now() - visitedMs() < IDLE_MS) return;
      clearInterval(timer);
      resolve(true);
    }, IDLE_CHECK_MS);
    timer.unref();
  });
}

function tellRegistered(
  options: SetupOptions,
  appId: number,
  files: readonly string[],
  installUrl: string,
): void {
  if (options.json === true && options.print === undefined) {
    print(`${JSON.stringify({ app_id: appId, files, install_url: installUrl })}\n`);
  }
  const next =
    options.print === undefined ? `  set -a; . ${options.out}/everlog.env; set +a; npx everlog doctor\n` : '';
  tell(
    `The App ${appId} is registered and its webhook set.\n${files.map((file) => `  wrote ${file}\n`).join('')}\nNow install it:\n\n  ${installUrl}\n\nand try everything:\n\n${next}  npx everlog up\n`,
  );
}
