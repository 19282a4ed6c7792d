import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';

export const CHART = join(import.meta.dirname, '../../../infra/helm/everlog');

/** Where `install-services.sh helm` puts it. */
const HELM = join(
  process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'),
  'everlog-tests/helm-4.1.4/helm',
);
const OUTPUT_BYTES_MAX = 16 * 1024 ** 2;
const TIMEOUT_MS = 60_000;

/** Helm comes in a package for x86-64 alone; elsewhere the chart is not tested, and the install script says so. */
export const HAS_HELM = process.arch === 'x64';

const manifestSchema = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), labels: z.record(z.string(), z.string()).default({}) }),
});
export type Manifest = z.infer<typeof manifestSchema>;

export interface HelmAnswer {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs Helm; whatever it ends with is an answer. */
export async function helm(...args: string[]): Promise<HelmAnswer> {
  if (!existsSync(HELM)) throw new Error(`there is no ${HELM}: run \`npm run services\``);
  try {
    const options = { maxBuffer: OUTPUT_BYTES_MAX, timeout: TIMEOUT_MS };
    const { stdout, stderr } = await promisify(execFile)(HELM, args, options);
    return { code: 0, stdout, stderr };
  } catch (error) {
    const failed = z.object({ code: z.int(), stdout: z.string(), stderr: z.string() }).safeParse(error);
    if (failed.success) return failed.data;
    throw error;
  }
}

/** What the chart gives for these arguments, such as `-f FILE` or `--set KEY=VALUE`. */
export async function render(...args: string[]): Promise<readonly Manifest[]> {
  const { code, stdout, stderr } = await helm('template', 'prod', CHART, '--namespace', 'everlog', ...args);
  if (code !== 0) throw new Error(stderr);
  return manifestsIn(stdout);
}

/** The manifests in what `helm template` prints. */
export function manifestsIn(text: string): readonly Manifest[] {
  return parseAllDocuments(text)
    .map((document): unknown => {
      const [problem] = document.errors;
      if (problem !== undefined) throw problem;
      return document.toJS();
    })
    .filter((value) => value !== null)
    .map((value) => manifestSchema.parse(value));
}
