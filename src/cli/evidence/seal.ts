import type { Command } from 'commander';
import { EXIT } from '../exit.ts';
import { confirmed } from '../terminal/confirm.ts';
import { formatCount } from '../terminal/format.ts';
import { inertText } from '../../log/terminal-sanitiser.ts';
import { openCommandQueue, type Sealed } from '../queue-work.ts';
import { standardTerminal, terminalOf } from '../terminal/standard-terminal.ts';
import { paint } from '../terminal/table.ts';
import { openProgress, type Terminal } from '../terminal/terminal.ts';
import { print, tell } from '../terminal/print.ts';

/** `everlog seal`: appends a digest to the ledger now. */

interface SealCommandOptions {
  readonly final?: boolean;
  readonly yes?: boolean;
  readonly json?: boolean;
}

/** Findings shown to a person; `--json` has more. */
const FINDINGS_SHOWN_MAX = 100;
const PROGRESS_MS = 1_000;
const CLOSING =
  'Close the ledger for good? Nothing can be sealed or archived there afterwards: jobs wait until EVERLOG_ARCHIVE_URL names another place.';

export function registerSeal(program: Command, done: (exit: number) => void): void {
  program
    .command('seal')
    .description('append a digest to the ledger now')
    .option('--final', 'close the ledger with it: nothing can be appended afterwards')
    .option('--yes', 'with --final: do not ask')
    .option('--json', 'one JSON document')
    .action(async (options: SealCommandOptions) => done(await sealNow(options)));
}

async function sealNow({ final = false, yes = false, json = false }: SealCommandOptions): Promise<number> {
  if (final && !(await confirmed(CLOSING, yes, ''))) {
    tell('everlog: nothing was changed\n');
    return EXIT.failed;
  }
  const queue = await openCommandQueue({ mayBegin: true });
  const startedMs = Date.now();
  const progress = openProgress(process.stderr, terminalOf(process.stderr), () => new Date());
  const tick = setInterval(
    () => progress.show(() => `sealing for ${Math.round((Date.now() - startedMs) / 1000)} s`),
    PROGRESS_MS,
  );
  try {
    const sealed = await queue.seal({ final }, () => {
      progress.clear();
      tell('everlog: waiting for another sealer to end\n');
    });
    clearInterval(tick);
    progress.clear();
    print(json ? `${JSON.stringify(sealDocument(sealed))}\n` : sealText(sealed));
    return sealExit(sealed, final);
  } finally {
    clearInterval(tick);
    progress.clear();
    await queue.close();
  }
}

function sealExit(sealed: Sealed, final: boolean): number {
  if (sealed.findings.length > 0) return EXIT.findings;
  if (sealed.outcome === 'sealed') return EXIT.ok;
  // What was asked for is so already, or cannot be.
  return final ? EXIT.ok : EXIT.failed;
}

/** The document of `--json`. */
function sealDocument(sealed: Sealed): Record<string, unknown> {
  if (sealed.outcome === 'closed')
    return {
      outcome: 'closed',
      sequence: sealed.sequence,
      digests: 0,
      entries: 0,
      final: true,
      findings: sealed.findings,
    };
  const { outcome, sequence, digests, entries, gaps, sha256, keyId, final, listed } = sealed;
  return {
    outcome,
    sequence,
    digests,
    entries,
    gaps,
    sha256,
    key_id: keyId,
    final,
    listed,
    findings_found: sealed.findingCount,
    findings: sealed.findings,
    anchor: sealed.anchor,
    time_stamps: sealed.timeStamps,
  };
}

function sealText(sealed: Sealed): string {
  const terminal = standardTerminal();
  if (sealed.outcome === 'closed')
    return [
      `The ledger was closed with digest ${sealed.sequence}: nothing was added.\n`,
      ...findingLines(sealed.findings, terminal).map((line) => `${line}\n`),
    ].join('');
  const { sequence, digests, entries, gaps, sha256, keyId, final, listed, findings, findingCount } = sealed;
  const lines = [
    digests === 1 ? `digest ${sequence}` : `digests ${sequence - digests + 1} to ${sequence}`,
    `  entries   ${formatCount(entries)}${listed ? ', found by listing the archive' : ''}`,
    `  gaps      ${formatCount(gaps)}`,
    `  SHA-256   ${sha256}`,
    `  key       ${keyId}`,
    ...behind('anchor', sealed.anchor),
    ...behind('stamps', sealed.timeStamps),
    ...(final ? ['  The ledger is closed with it.'] : []),
    ...findingLines(findings, terminal),
    ...(findingCount > FINDINGS_SHOWN_MAX
      ? [`  … and ${formatCount(findingCount - FINDINGS_SHOWN_MAX)} more findings`]
      : []),
  ];
  return `${lines.join('\n')}\n`;
}

function findingLines(findings: Sealed['findings'], terminal: Terminal): string[] {
  return findings
    .slice(0, FINDINGS_SHOWN_MAX)
    .map(({ kind, key, detail }) =>
      paint(`  ✗ ${kind}  ${inertText(key)}: ${inertText(detail)}`, 'bad', terminal),
    );
}

function behind(name: string, followUp: Extract<Sealed, { outcome: 'sealed' }>['anchor']): string[] {
  switch (followUp.state) {
    case 'off':
      return [];
    case 'complete':
      return [`  ${name.padEnd(9)} complete`];
    case 'behind':
      return [`  ${name.padEnd(9)} behind, which the next seal makes up for: ${inertText(followUp.problem)}`];
  }
}
