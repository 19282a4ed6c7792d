// Makes docs/images/log-page.png, which the README shows: the failing job of the demo, in a real Chromium.
//
//     npm run build && node scripts/screenshot.mjs [path of Chromium]
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const ROOT = join(import.meta.dirname, '..');
const JOB = '/octo-org/Shop/actions/runs/29679450/job/399444497';
const START_TIMEOUT_MS = 120_000;

const [, , executablePath = '/usr/bin/chromium'] = process.argv;
const folder = mkdtempSync(join(tmpdir(), 'everlog-screenshot-'));
const demo = spawn(process.execPath, [join(ROOT, 'dist/src/cli/main.js'), 'demo'], { cwd: folder });
try {
  const url = await new Promise((found, failed) => {
    let said = '';
    demo.stdout.on('data', (chunk) => {
      said += chunk;
      const [, address] = /web page\s+(http:\S+)/.exec(said) ?? [];
      if (address !== undefined) found(address);
    });
    demo.on('exit', () => failed(new Error('the demo ended')));
    setTimeout(() => failed(new Error('the demo has no web page')), START_TIMEOUT_MS).unref();
  });
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
  const page = await browser.newPage({ viewport: { width: 1280, height: 860 } });
  await page.goto(`${url}${JOB}`);
  await page.evaluate('scrollTo(0, 0)');
  await page.screenshot({ path: join(ROOT, 'docs/images/log-page.png') });
  await browser.close();
} finally {
  demo.kill('SIGTERM');
  await new Promise((ended) => {
    demo.once('exit', ended);
  });
  rmSync(folder, { recursive: true, force: true });
}
