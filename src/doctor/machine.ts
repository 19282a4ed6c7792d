import { randomUUID } from 'node:crypto';
import { open, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../config.ts';
import { giveUp, messageOf } from '../errors.ts';
import { check, type Checked } from './check.ts';

/** One log's first reservation. With less, no log at all can be fetched. */
const SPOOL_BYTES_MIN = 64 * 1024 * 1024;
const MIB = 1024 * 1024;

/** What can be seen of the settings themselves. */
export function examineConfiguration(config: Config): Promise<Checked> {
  return check('configuration', 'environment', '', async () => {
    const { unknownVariables, ignoredVariables, barePorts } = config;
    const troubles: { detail: string; fix: string }[] = [];
    if (unknownVariables.length > 0)
      troubles.push({
        detail: `${unknownVariables.join(', ')}: no such setting`,
        fix: 'correct the name, or remove it; README.md lists them all',
      });
    if (ignoredVariables.length > 0)
      troubles.push({
        detail: `${ignoredVariables.join(', ')}: ignored, as EVERLOG_CONFIG describes the hosts`,
        fix: 'remove it, or move it into the file of EVERLOG_CONFIG',
      });
    for (const name of barePorts)
      troubles.push({
        detail: `${name} is a port alone: only this machine reaches it, on 127.0.0.1`,
        fix: `write the address, such as ${name}=0.0.0.0:PORT for all that reach this machine, or 127.0.0.1:PORT`,
      });
    if (troubles.length === 0) return { status: 'ok', detail: 'every variable is understood' };
    return {
      status: 'warning',
      detail: troubles.map(({ detail }) => detail).join(' · '),
      fix: troubles.map(({ fix }) => fix).join(' · '),
    };
  });
}

/** Whether logs can be kept while they are read. */
export function examineSpool(config: Pick<Config, 'spoolFolder' | 'spoolBytesMax'>): Promise<Checked> {
  const fix = 'set EVERLOG_SPOOL_DIR to a folder that Everlog may write to';
  return check('machine', 'spool', fix, async () => {
    const { spoolFolder, spoolBytesMax } = config;
    await tryToWrite(spoolFolder);
    const { bavail, bsize } = await statfs(spoolFolder);
    const freeBytes = bavail * bsize;
    const detail = `${spoolFolder}: writable, ${Math.floor(freeBytes / MIB)} MiB free`;
    if (freeBytes >= spoolBytesMax) return { status: 'ok', detail };
    const wanted = `${Math.floor(spoolBytesMax / MIB)} MiB (EVERLOG_SPOOL_MAX_BYTES)`;
    return {
      status: freeBytes < SPOOL_BYTES_MIN ? 'failed' : 'warning',
      detail: `${detail}, of ${wanted} that may be used`,
      fix: 'free space there, set EVERLOG_SPOOL_DIR to another disk, or lower EVERLOG_SPOOL_MAX_BYTES',
    };
  });
}

async function tryToWrite(folder: string): Promise<void> {
  const path = join(folder, `everlog-doctor-${randomUUID()}`);
  try {
    const file = await open(path, 'wx', 0o600);
    try {
      await file.writeFile('probe');
    } finally {
      await file.close();
    }
  } catch (error) {
    throw giveUp('spool_unavailable', `${folder}: ${messageOf(error)}`, error);
  }
  await rm(path, { force: true });
}
