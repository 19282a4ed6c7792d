import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** What must be runnable for a service to start; the script knows which packages bring it. */
const PROGRAMS = {
  redis: ['redis-server'],
  ceph: ['ceph', 'ceph-authtool', 'ceph-mon', 'ceph-osd', 'monmaptool', 'radosgw', 'radosgw-admin'],
  /** What checks a bundle, beside the tools that every system has. */
  auditor: ['jq', 'openssl'],
  promtool: ['promtool'],
  /** Any of these will do. */
  browser: [['chromium', 'chromium-headless-shell', 'google-chrome']],
} as const;

export type PackagedService = keyof typeof PROGRAMS;

const SCRIPT = join(import.meta.dirname, 'install-services.sh');

/** Installs a service's Debian packages where they are missing, or throws naming what to install. */
export async function ensureServicesInstalled(...services: PackagedService[]): Promise<void> {
  const missing = services.filter((service) =>
    PROGRAMS[service].some((program) => ![program].flat().some((name) => isOnPath(name))),
  );
  if (missing.length === 0) return;
  const code = await new Promise<number | null>((ended, failed) => {
    // The script's own words about what it does reach whoever runs the tests.
    const script = spawn('/bin/sh', [SCRIPT, ...missing], { stdio: ['ignore', 'inherit', 'inherit'] });
    script.once('error', failed);
    script.once('close', ended);
  });
  if (code !== 0) throw new Error(`installing test services failed (${missing.join(', ')}): see above`);
}

function isOnPath(program: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
