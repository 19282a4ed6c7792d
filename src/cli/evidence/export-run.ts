import { resolve, sep } from 'node:path';
import { commitCustody } from '../../archive/custody/custody.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import type { Recording } from '../../service/recording.ts';
import { EverlogError, giveUp } from '../../errors.ts';
import { BundleFolder } from '../../ledger/export/bundle/bundle-folder.ts';
import {
  exportBundle,
  type ExportProgress,
  type ExportReport,
  type ExportRequest,
} from '../../ledger/export/export-bundle.ts';
import { isUnsound } from '../../ledger/export/bundle/index-rows.ts';
import { EXIT } from '../exit.ts';
import { exportDocument, exportText, type CustodyOutcome, type ExportOutcome } from './export-report.ts';
import { counted, formatCount } from '../terminal/format.ts';
import { inertText } from '../../log/terminal-sanitiser.ts';
import { openOutput, openProgress, type OutputStream, type Terminal } from '../terminal/terminal.ts';

export interface ExportDeps {
  readonly store: ObjectStore;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly terminal: Terminal;
  /** Behind standard error. */
  readonly progressTerminal: Terminal;
  readonly now: () => Date;
  /** For the custody object; a text says why none can be left. Asked for once everything was read. */
  readonly recording: () => Promise<Recording | string>;
  /** Takes what is to be done before an interrupted process ends. */
  readonly onInterrupt: (discard: () => void) => void;
}

export interface ExportOrder {
  readonly out: string;
  readonly json: boolean;
  readonly request: ExportRequest;
}

/** Problems told; the bundle's index has every job's. */
const PROBLEMS_KEPT_MAX = 100;

/**
 * Writes a bundle, leaves a custody object where it can, and prints what came of it. Answers 0; 3 when no job matches; 4 when
 * something that was asked for is not in the bundle as it was sealed.
 * @throws EverlogError `usage` where something stands at `--out`; where the archive does not answer.
 */
export async function runExport(deps: ExportDeps, order: ExportOrder): Promise<number> {
  const { store, now } = deps;
  refuseInside(store, order.out);
  const folder = await BundleFolder.begin(order.out, `${process.pid}-${now().getTime().toString(36)}`);
  deps.onInterrupt(() => folder.discardNow());
  const progress = openProgress(deps.stderr, deps.progressTerminal, now);
  const out = openOutput(deps.stdout);
  const errors = openOutput(deps.stderr);
  const problems: { key: string; problem: string }[] = [];
  let problemCount = 0;
  try {
    const report = await exportBundle(store, folder, order.request, {
      onProblem: (key, problem) => {
        problemCount += 1;
        if (problems.length < PROBLEMS_KEPT_MAX) problems.push({ key, problem });
      },
      onProgress: (done) => progress.show(() => exportProgressText(done)),
    });
    progress.clear();
    if (report === null && problemCount === 0) {
      await errors.write(`everlog: no recorded job matches in ${inertText(store.location)}\n`);
      return EXIT.notFound;
    }
    if (report === null) throw giveUp('object_corrupt', unreadableText(problems));
    // Who exports is written down before the bundle can be used.
    const custody = await leaveCustody(deps, order.request, report);
    await folder.finish();
    const outcome: ExportOutcome = { out: folder.out, report, problems, problemCount, custody };
    const text = order.json ? `${JSON.stringify(exportDocument(outcome))}\n` : exportText(outcome);
    await out.write(text);
    return problemCount > 0 || report.rows.some(isUnsound) ? EXIT.findings : EXIT.ok;
  } finally {
    progress.clear();
    await folder.discard();
    out.close();
    errors.close();
  }
}

/** A bundle within a folder archive would become part of what it is made of. */
function refuseInside({ location }: ObjectStore, out: string): void {
  const archive = location.startsWith('file:') ? location.slice('file:'.length) : null;
  const path = resolve(out);
  if (archive !== null && (path === archive || path.startsWith(`${archive}${sep}`)))
    throw giveUp('usage', `--out ${out} is within the archive; name a folder outside`);
}

function unreadableText(problems: readonly { key: string; problem: string }[]): string {
  const named = problems.slice(0, 3).map(({ key, problem }) => `${inertText(key)}: ${inertText(problem)}`);
  return `no job matches of those that can be read; others cannot: ${named.join('; ')}`;
}

/** An archive that may only be read, or whose queue is out of reach, can be exported all the same. */
async function leaveCustody(
  { recording }: ExportDeps,
  { scope }: ExportRequest,
  report: ExportReport,
): Promise<CustodyOutcome> {
  try {
    const opened = await recording();
    if (typeof opened === 'string') return { key: null, problem: opened };
    const { store, who, version, now, randomHex } = opened;
    const { jobs, records, logs, bytes, indexSha256 } = report;
    const draft = {
      action: 'export',
      who,
      reason: null,
      case: null,
      scope,
      objects: [],
      result: { jobs, records, logs, bytes, index_sha256: indexSha256 },
      archiver: { name: 'everlog', version },
    } as const;
    const { key } = await commitCustody(store, draft, { now, randomHex });
    return { key, problem: null };
  } catch (error) {
    if (error instanceof EverlogError) return { key: null, problem: error.message };
    throw error;
  }
}

function exportProgressText({ recordsRead, digest, copied }: ExportProgress): string {
  const read = `${formatCount(recordsRead)} records read`;
  return digest === null
    ? read
    : `${read}, at digest ${formatCount(digest)}, ${counted(copied, 'job')} copied`;
}
