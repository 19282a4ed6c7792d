import type { Collected, CollectionFiles } from './collection.ts';
import { gapLine } from '../formats/entry-line.ts';
import type { Digest, GapLine } from '../formats/formats.ts';
import type { FinishedLines, LineFile } from '../formats/line-file.ts';
import type { AccountedFor } from '../ports.ts';
import type { Standing } from '../standing-digests.ts';

/** Gap lines of one digest: more are added up by host. */
const GAP_LINES_MAX = 1_000_000;
/** The reason in lines that stand for those left out. */
const NOT_LISTED = 'not_listed';

/** The files of a digest, ended. */
export interface DigestFiles {
  readonly entries: FinishedLines;
  readonly entriesName: string;
  /** Null where there are no gaps. */
  readonly gaps: FinishedLines | null;
  readonly gapsName: string;
  /** JSON strings. */
  readonly handled: FinishedLines;
  readonly merkleRoot: Buffer;
}

/** What a digest says besides what its files hold. */
export interface DigestFrame {
  readonly stream: string;
  readonly previous: Standing | null;
  readonly windowStart: Date;
  readonly windowEnd: Date;
  readonly createdAt: Date;
  readonly intervalMs: number;
  readonly final: boolean;
  readonly archive: string;
  readonly storage: Digest['storage'];
  readonly keyId: string;
}

/** Adds the gaps that queue and reconcile know of. */
export async function appendGaps(file: LineFile, gaps: AccountedFor['gaps']): Promise<void> {
  let lines = 0;
  const leftOut = new Map<string, number>();
  for await (const gap of gaps) {
    if (lines < GAP_LINES_MAX) await file.append(gapLine(gap));
    else leftOut.set(gap.host, (leftOut.get(gap.host) ?? 0) + gap.jobs);
    lines += 1;
  }
  for (const [host, jobs] of leftOut) await file.append(gapLine(hostGap(host, jobs)));
}

function hostGap(host: string, jobs: number): GapLine {
  return {
    host,
    owner: null,
    repo: null,
    repository_id: null,
    run_id: null,
    run_attempt: null,
    job_id: null,
    jobs,
    reason: NOT_LISTED,
    since: null,
  };
}

/** Ends the files and names them by what is stored. */
export async function finishFiles(files: CollectionFiles): Promise<DigestFiles> {
  const entries = await files.entries.finish();
  const gaps = await files.gaps.finish();
  const handled = await files.handled.finish();
  return {
    entries,
    entriesName: `${entries.body.sha256}.entries.ndjson.gz`,
    gaps: gaps.count === 0 ? null : gaps,
    gapsName: `${gaps.body.sha256}.gaps.ndjson`,
    handled,
    merkleRoot: files.tree.root(),
  };
}

/** Puts a digest together. */
export function draftDigest(
  frame: DigestFrame,
  files: DigestFiles,
  collected: Collected,
  known: Omit<AccountedFor, 'gaps'>,
): Digest {
  const { previous } = frame;
  const { entries, gaps } = files;
  return {
    schema: 'everlog.digest/v1',
    stream: frame.stream,
    sequence: (previous?.sequence ?? 0) + 1,
    window_start: frame.windowStart.toISOString(),
    window_end: frame.windowEnd.toISOString(),
    created_at: frame.createdAt.toISOString(),
    interval_seconds: Math.ceil(frame.intervalMs / 1000),
    final: frame.final,
    archive: frame.archive,
    entries: {
      file: files.entriesName,
      sha256: entries.sha256,
      bytes: entries.bytes,
      stored_sha256: entries.body.sha256,
      stored_bytes: entries.body.bytes,
      count: entries.count,
      merkle_root: files.merkleRoot.toString('hex'),
    },
    completeness: {
      reconciled_through: known.reconciledThrough?.toISOString() ?? null,
      expected: collected.expected,
      archived: collected.archived,
      absent: collected.absent,
      pending: known.pending,
      failed: known.failed,
      gaps:
        gaps === null
          ? null
          : {
              file: files.gapsName,
              sha256: gaps.sha256,
              stored_sha256: gaps.body.sha256,
              count: gaps.count,
            },
    },
    storage: frame.storage,
    previous: previous === null ? null : { sequence: previous.sequence, sha256: previous.sha256 },
    key_id: frame.keyId,
    algorithm: 'Ed25519',
  };
}
