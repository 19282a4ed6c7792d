import { createHash } from 'node:crypto';
import {
  checkpointKey,
  digestSignatureKey,
  digestTimeStampKey,
  parseKey,
  SIGNING_KEYS_ROOT,
} from '../../archive/keys.ts';
import type { ScanPlace } from '../../archive/find/scan-records.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import type { RecordFilters } from '../../archive/find/record-filters.ts';
import type { BundleFolder } from './bundle/bundle-folder.ts';
import { chooseJobs, type ChosenRecord } from './choose-jobs.ts';
import { collectEvidence } from './collect-evidence.ts';
import type { CommitList } from './commit-list.ts';
import { copyNeighbours, copySmall } from './copy-neighbours.ts';
import { Digests } from './digests.ts';
import type { StoredDigest } from './digests.ts';
import { EntryFiles } from './entry-files.ts';
import { goneRecord, viewLedger, type LedgerView } from './ledger-view.ts';
import { indexCsv } from './bundle/index-csv.ts';
import { indexHtml } from './bundle/index-html.ts';
import type { IndexRow } from './bundle/index-rows.ts';
import { verifyGuide } from './bundle/verify-guide.ts';
import { VERIFY_SCRIPT } from './bundle/verify-script.ts';

export interface ExportRequest {
  readonly filters: RecordFilters;
  /** Null: whatever the filters pass. */
  readonly commits: CommitList | null;
  /** Where jobs of the commits stand, where an index told it; null: all records are looked through. */
  readonly places?: readonly ScanPlace[] | null;
  /** Options as they were given, for people. */
  readonly scope: Readonly<Record<string, string>>;
  readonly madeAt: Date;
  readonly version: string;
  /** Where people reach the web page, for links to it; null, or missing, where there is none. */
  readonly webUrl?: string | null;
}

export interface ExportHooks {
  /** What keeps the bundle from being all that it should be, beside what the rows say. */
  readonly onProblem: (key: string, problem: string) => void;
  readonly onProgress: (progress: ExportProgress) => void;
}

export interface ExportProgress {
  readonly recordsRead: number;
  /** The last digest looked into; null while jobs are chosen. */
  readonly digest: number | null;
  readonly copied: number;
}

export interface ExportReport {
  /** Every chosen record, then what was asked for and has no job. */
  readonly rows: readonly IndexRow[];
  readonly jobs: number;
  readonly records: number;
  readonly logs: number;
  /** Of what was copied from `v1`, as stored. */
  readonly bytes: number;
  /** Of the covering digests, ascending. */
  readonly sequences: readonly number[];
  /** Of the keys that signed them. */
  readonly keyIds: readonly string[];
  /** SHA-256 of `index.csv`, by which a bundle is known again. */
  readonly indexSha256: string;
}

/** Rows of what is wrong with the archive; whoever finds more need not read on. */
const PROBLEM_ROWS_MAX = 10_000;
/** Key files of a ledger; a rotation a week for 19 years. */
const KEY_FILES_MAX = 1_000;

/**
 * Writes an evidence bundle into a folder that has been begun, and leaves finishing it to the caller. Reads the archive
 * and writes nothing to it. Answers null, and writes nothing, when no job matches and no commits were asked for.
 * @throws EverlogError `usage` for more than 100,000 records; where the store does not answer or the bundle cannot be written.
 */
export async function exportBundle(
  store: ObjectStore,
  folder: BundleFolder,
  request: ExportRequest,
  hooks: ExportHooks,
): Promise<ExportReport | null> {
  const { onProgress } = hooks;
  const problems = new ProblemRows();
  const onProblem = (key: string, what: string): void => {
    problems.add(key, what);
    hooks.onProblem(key, what);
  };
  let recordsRead = 0;
  const choosing = {
    onProblem,
    onRecord: () => onProgress({ recordsRead: ++recordsRead, digest: null, copied: 0 }),
  };
  const { filters, commits, places } = request;
  const chosen = await chooseJobs(store, filters, commits, choosing, places);
  const digests = new Digests(store, onProblem);
  const view = await viewLedger(store, request.filters, chosen, {
    now: request.madeAt,
    onProblem,
    onDigest: (digest) => onProgress({ recordsRead, digest, copied: 0 }),
  });
  const wanted = [...chosen, ...(await goneRecords(view, digests))];
  if (wanted.length === 0 && request.commits === null) return null;
  const files = new EntryFiles(folder);
  const collected = await collectEvidence(
    {
      store,
      folder,
      files,
      digests,
      view,
      onProblem,
      onProgress: (done) => onProgress({ recordsRead, ...done }),
    },
    wanted,
  );
  const covering = files.digests();
  await copyNeighbours(store, folder, covering, view.notBelieved);
  for (const digest of covering) await copyVouchers(store, folder, digest, onProblem);
  if (covering.length > 0) await copyKeys(store, folder, view);
  const unmet = (request.commits?.unmet() ?? []).map(unmetRow);
  const rows = [...collected.rows, ...unmet];
  const sequences = covering.map(({ sequence }) => sequence);
  const keyIds = [...new Set(covering.map(({ keyId }) => keyId))];
  const indexed = [...problems.rows(), ...rows];
  const index = indexCsv(indexed);
  await folder.write('index.csv', index);
  const about = { madeAt: request.madeAt.toISOString(), version: request.version };
  const summary = {
    ...about,
    archive: store.location,
    scope: request.scope,
    sequences,
    keyIds,
    webUrl: request.webUrl ?? null,
  };
  await folder.write('index.html', indexHtml(indexed, summary));
  await folder.write('VERIFY.md', verifyGuide(about));
  await folder.write('verify.sh', VERIFY_SCRIPT, true);
  const { records, logs, bytes } = collected;
  const jobs = new Set(wanted.map(({ address }) => JSON.stringify(address))).size;
  const indexSha256 = createHash('sha256').update(index).digest('hex');
  return { rows, jobs, records, logs, bytes, sequences, keyIds, indexSha256 };
}

/** What vouches for a digest: signature, time stamp, and the note on the tree that it ends. */
async function copyVouchers(
  store: ObjectStore,
  folder: BundleFolder,
  { sequence, sha256 }: StoredDigest,
  onProblem: ExportHooks['onProblem'],
): Promise<void> {
  const signature = digestSignatureKey(sequence, sha256);
  if (!(await copySmall(store, folder, signature))) onProblem(signature, 'the digest’s signature is missing');
  await copySmall(store, folder, digestTimeStampKey(sequence, sha256));
  await copySmall(store, folder, checkpointKey(sequence));
}

/** Where each was looked for, so that the entry is found where it stands. */
async function goneRecords(view: LedgerView, digests: Digests): Promise<readonly ChosenRecord[]> {
  const endings = new Map<number, number>();
  const records: ChosenRecord[] = [];
  for (const gone of view.gone) {
    const { sequence } = gone;
    const endMs = endings.get(sequence) ?? (await digests.from(sequence))?.windowEndMs ?? 0;
    endings.set(sequence, endMs);
    records.push(goneRecord(gone, endMs));
  }
  return records;
}

/** Where keys have entries, one without is no evidence yet: no digest of its own is in the bundle. */
async function copyKeys(store: ObjectStore, folder: BundleFolder, view: LedgerView): Promise<void> {
  let files = 0;
  for await (const { key } of store.list(SIGNING_KEYS_ROOT)) {
    if (view.keyFiles.size > 0 && parseKey(key)?.type === 'key' && !view.keyFiles.has(key)) continue;
    files += 1;
    if (files > KEY_FILES_MAX) break;
    await copySmall(store, folder, key);
  }
}

function unmetRow(askedFor: string): IndexRow {
  return { status: 'no_job', askedFor, record: null, sequence: null, custody: null, problem: null };
}

/** What is wrong with the archive itself, as rows of the index. */
class ProblemRows {
  readonly #rows: IndexRow[] = [];
  #more = 0;

  add(key: string, what: string): void {
    if (this.#rows.length < PROBLEM_ROWS_MAX) this.#rows.push(problemRow(key, what));
    else this.#more += 1;
  }

  rows(): readonly IndexRow[] {
    return this.#more === 0 ? this.#rows : [...this.#rows, problemRow('', `and ${this.#more} more`)];
  }
}

function problemRow(key: string, what: string): IndexRow {
  const problem = { key, what };
  return { status: 'problem', askedFor: null, record: null, sequence: null, custody: null, problem };
}
