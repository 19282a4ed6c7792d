import type { Command } from 'commander';
import { parseAddress } from '../../archive/find/job-reference.ts';
import { pageAddress } from '../../archive/find/page-address.ts';
import { loadConfig, webAddress } from '../../config.ts';
import { giveUp } from '../../errors.ts';
import { EXIT } from '../exit.ts';
import { print } from '../terminal/print.ts';
import { openInBrowser } from '../terminal/browser.ts';

/** `everlog open`: the page of what an address names. */
export function registerOpen(program: Command, done: (exit: number) => void): void {
  program
    .command('open')
    .description('the web page of a pasted GitHub address: prints it, and opens it on a terminal')
    .argument('<url|id>', 'a GitHub address, pasted, or the id of a job or run')
    .option('--print', 'print the address alone')
    .option('--json', 'one JSON document')
    .action((text: string, options: { print?: boolean; json?: boolean }) => {
      const url = webPageAddress(text);
      print(options.json === true ? `${JSON.stringify({ url })}\n` : `${url}\n`);
      if (process.stdout.isTTY && options.print !== true && options.json !== true) openInBrowser(url);
      done(EXIT.ok);
    });
}

/**
 * The page's address: GitHub's own path under the web page's host, or its box for what has no path.
 * @throws EverlogError `usage` for what is no address
 */
function webPageAddress(text: string): string {
  const parsed = parseAddress(text);
  if (!parsed.ok) throw giveUp('usage', `open: ${parsed.problem}`);
  const base = webAddress(loadConfig({}));
  const { address } = parsed;
  if (address.kind !== 'place' || address.runId === null || address.host === null) {
    return `${base}/-/go?u=${encodeURIComponent(text.trim())}`;
  }
  const { host, owner, repo, runId, attempt, jobId, step, line } = address;
  const page = pageAddress(base, { host, owner, repo, runId, attempt, jobId });
  return jobId === null || step === null ? page : `${page}?step=${step}#step:${step}:${line ?? 1}`;
}
