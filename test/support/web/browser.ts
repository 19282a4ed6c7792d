import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { chromium, type Browser } from 'playwright-core';
import { ensureServicesInstalled } from '../servers/service-packages.ts';

/** Names of Chromium that are looked for; install-services.sh brings one of them. */
const PROGRAMS = ['chromium', 'chromium-headless-shell', 'google-chrome'];

/** Starts a real Chromium without a window; the caller closes it. */
export async function startBrowser(): Promise<Browser> {
  await ensureServicesInstalled('browser');
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  const places = PROGRAMS.flatMap((program) => folders.map((folder) => join(folder, program)));
  const executablePath = places.find((place) => existsSync(place));
  if (executablePath === undefined) throw new Error('no Chromium was found after it was installed');
  // Tests often run as root in a container, where Chromium's own sandbox cannot be made; pages are our own.
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
}
