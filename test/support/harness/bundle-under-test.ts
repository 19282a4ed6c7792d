import { spawn } from 'node:child_process';
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { openFolderStore } from '../../../src/store/folder/folder-object-store.ts';
import { listPassedOver } from '../../../src/store/folder/listing.ts';
import type { ObjectStore } from '../../../src/store/object-store.ts';
import type { RecordFilters } from '../../../src/archive/find/record-filters.ts';
import { BundleFolder } from '../../../src/ledger/export/bundle/bundle-folder.ts';
import type { CommitList } from '../../../src/ledger/export/commit-list.ts';
import { exportBundle, type ExportReport } from '../../../src/ledger/export/export-bundle.ts';
import { verifyLedger } from '../../../src/ledger/verify/verify.ts';
import { ensureServicesInstalled } from '../servers/service-packages.ts';

/** Exports, and the two ways to check what came of them. */

export interface Exported {
  readonly report: ExportReport;
  readonly problems: readonly string[];
}

/** Exports into `out` and puts the bundle in its place. */
export async function exportTo(
  store: ObjectStore,
  out: string,
  request: { readonly filters?: RecordFilters; readonly commits?: CommitList; readonly madeAt?: Date } = {},
): Promise<Exported> {
  const folder = await BundleFolder.begin(out, 'test');
  const problems: string[] = [];
  const report = await exportBundle(
    store,
    folder,
    {
      filters: request.filters ?? {},
      commits: request.commits ?? null,
      scope: {},
      madeAt: request.madeAt ?? new Date('2026-11-21T00:00:00Z'),
      version: '0.0.0',
    },
    { onProblem: (key, problem) => problems.push(`${key}: ${problem}`), onProgress: () => undefined },
  );
  if (report === null) throw new Error('no job matched');
  await folder.finish();
  return { report, problems };
}

/** What `verify.sh` may call: what it says it needs, and nothing else of this machine. */
const TOOLS =
  'bash openssl jq gzip sed awk sha256sum base64 basename comm cut dirname head mktemp od rm sort tail tee tr wc'.split(
    ' ',
  );

/** A folder that has the allowed tools alone, to be all of PATH. */
export async function makeToolFolder(folder: string): Promise<string> {
  await ensureServicesInstalled('auditor');
  mkdirSync(folder, { recursive: true });
  for (const tool of TOOLS) symlinkSync(join('/usr/bin', tool), join(folder, tool));
  return folder;
}

export interface Verdict {
  readonly code: number | null;
  readonly output: string;
}

/** Runs a bundle's `verify.sh` as an auditor does, with nothing but the tools. */
export async function runVerifyScript(bundle: string, tools: string, pin: string | null): Promise<Verdict> {
  const args = [join(bundle, 'verify.sh'), ...(pin === null ? [] : [pin])];
  const child = spawn(join(tools, 'bash'), args, { env: { PATH: tools }, cwd: '/' });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  return { code, output };
}

/** The same by `everlog verify --bundle`. */
export async function runVerify(
  bundle: string,
  temporaryFolder: string,
  pin: string | null,
): Promise<Verdict> {
  const store = await openFolderStore({ folder: bundle });
  const lines: string[] = [];
  try {
    const summary = await verifyLedger({
      store,
      isBundle: true,
      strays: listPassedOver(bundle, 'v1/'),
      level: 'bytes',
      sample: null,
      range: { fromMs: null, toMs: null },
      selection: null,
      pinnedKeyId: pin,
      anchor: null,
      temporaryFolder,
      now: () => new Date(),
      random: () => 0.5,
      onPlan: () => Promise.resolve(),
      onResult: ({ result, key, detail }) => {
        lines.push(`${result} ${key}: ${detail}`);
        return Promise.resolve();
      },
      onProgress: () => undefined,
    });
    return { code: summary.result === 'VALID' ? 0 : 4, output: lines.join('\n') };
  } finally {
    await store.close();
  }
}
