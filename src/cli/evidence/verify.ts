import type { Command } from 'commander';
import { tmpdir } from 'node:os';
import type { ObjectStore } from '../../store/object-store.ts';
import { listBundleStrays, openArchive } from '../../service/archive.ts';
import { demandArchive } from '../../service/standing-archive.ts';
import { EverlogError } from '../../errors.ts';
import { loadConfig, type ArchiveUrl } from '../../config.ts';
import type { AnchorSource } from '../../ledger/verify/chain/anchor.ts';
import type { Summary } from '../../ledger/verify/summary.ts';
import { verifyLedger } from '../../ledger/verify/verify.ts';
import { EXIT } from '../exit.ts';
import { requireQueue } from '../queue-work.ts';
import { parseTerms, type VerifyTerms } from './verify-options.ts';
import type { VerifyCommandOptions } from './verify-options.ts';
import { openAnchorSource, placeToVerify } from './verify-places.ts';
import { withReadingSession, type ReadingSession } from '../read/reading-session.ts';
import { standardTerminal } from '../terminal/standard-terminal.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { planText, progressText, resultLine, summaryLine, summaryText } from './verify-report.ts';

/** `everlog verify`: needs the archive or a bundle, and nothing else unless `--record` is given. */
export function registerVerify(program: Command, done: (exit: number) => void): void {
  program
    .command('verify')
    .description('check ledger, records and logs; needs nothing but the archive or a bundle')
    .option('--archive <url>', 'another archive than EVERLOG_ARCHIVE_URL')
    .option('--bundle <dir>', 'a bundle that everlog export made, instead of an archive')
    .option('--key <sha256>', 'fingerprint of a signing key that you trust: SHA-256 of its SPKI, in hex')
    .option('--from <date>', 'only what was sealed since: date, RFC 3339, or a duration ago such as 7d')
    .option('--to <date>', 'only what was sealed until then; the clock is not asked for later digests')
    .option('--job <job>', 'only this job: HOST/ID, address or job id')
    .option('--run <run>', 'only this run: HOST/ID, address or run id')
    .option('-R, --repo <owner/repo>', 'only this repository, under this name')
    .option('--anchor <place>', 'a note or digest that you kept, or a folder or bucket with copies of them')
    .option('--level <level>', 'ledger, heads or bytes (default: bytes)')
    .option('--sample <n>', 'read the bytes of so many random entries only')
    .option('--record', 'write down in the archive that it was verified, and what came of it')
    .option('--json', 'NDJSON: results, then the summary')
    .action(async (options: VerifyCommandOptions) => done(await verifyCommand(options)));
}

async function verifyCommand(options: VerifyCommandOptions): Promise<number> {
  const now = (): Date => new Date();
  const terms = parseTerms(options, now());
  const config = loadConfig({});
  const place = placeToVerify(options, config);
  if (options.record === true) requireQueue(config);
  const closing: ObjectStore[] = [];
  const open = async (url: ArchiveUrl): Promise<ObjectStore> => {
    const store = await openArchive(config, url);
    closing.push(store);
    return store;
  };
  const terminal = standardTerminal();
  const { stdout, stderr } = process;
  try {
    const store = await open(place);
    const anchor = await openAnchorSource(options, config, place, open);
    return await withReadingSession({ store, stdout, stderr, now, terminal }, async (session) => {
      const work = {
        store,
        anchor,
        strays: options.bundle === undefined ? null : listBundleStrays(options.bundle),
        terms,
        json: options.json === true,
      };
      const startedAt = new Date();
      const summary = await verified(session, terminal, work).catch(async (error: unknown) => {
        const isNothing = error instanceof EverlogError && error.code === 'not_found';
        // Where there is not even an archive, that is what is to be said, and where one is.
        if (isNothing && options.bundle === undefined) await demandArchive(config, place, store);
        throw error;
      });
      if (options.record === true) {
        const { recordVerification } = await import('./verify-record.ts');
        await session.say(
          `everlog: recorded as ${await recordVerification(store, options, summary, startedAt)}`,
        );
      }
      return summary.findings > 0 ? EXIT.findings : EXIT.ok;
    });
  } finally {
    for (const store of closing) await store.close();
  }
}

interface Work {
  readonly store: ObjectStore;
  readonly anchor: AnchorSource | null;
  readonly strays: AsyncIterable<string> | null;
  readonly terms: VerifyTerms;
  readonly json: boolean;
}

async function verified(session: ReadingSession, terminal: Terminal, work: Work): Promise<Summary> {
  const { store, anchor, strays, terms, json } = work;
  const summary = await verifyLedger({
    ...terms,
    store,
    anchor,
    strays,
    temporaryFolder: tmpdir(),
    now: () => new Date(),
    random: Math.random,
    onPlan: (plan) => session.say(`everlog verify: ${planText(plan)}`),
    onResult: async (result) => {
      session.progress.clear();
      await session.out.write(resultLine(result, json, terminal));
    },
    onProgress: (meter) => session.progress.show(() => progressText(meter)),
  });
  session.progress.clear();
  await session.out.write(json ? summaryLine(summary) : summaryText(summary, terms.isBundle, terminal));
  return summary;
}
