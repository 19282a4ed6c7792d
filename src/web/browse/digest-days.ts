import { createHash } from 'node:crypto';
import { z } from 'zod';
import { digestFolder } from '../../archive/keys.ts';
import { Digests, type StoredDigest } from '../../ledger/export/digests.ts';
import { readWhole, type ObjectStore } from '../../store/object-store.ts';
import { parseJsonOrNull } from '../../json-text.ts';

/** What the digests of one UTC day say of completeness. */
export interface DigestDay {
  readonly day: string;
  readonly digests: number;
  /** Jobs of the run attempts that were sealed on it; an attempt that was compared again counts again. */
  readonly expected: number;
  readonly archived: number;
  readonly absent: ReadonlyMap<string, number>;
  /** As the day's last digest says. */
  readonly last: {
    readonly sequence: number;
    readonly pending: number;
    readonly failed: number;
    readonly gaps: number;
    readonly reconciledThrough: string | null;
  };
}

/** A job, or jobs of a repository, that a digest says are missing, and why. */
export interface ToldGap {
  readonly place: string;
  readonly runId: number | null;
  readonly jobId: number | null;
  readonly jobs: number;
  readonly reason: string;
  readonly since: string | null;
}

const completenessSchema = z.looseObject({
  window_end: z.string(),
  completeness: z.looseObject({
    reconciled_through: z.string().nullable(),
    expected: z.number(),
    archived: z.number(),
    absent: z.record(z.string(), z.number()),
    pending: z.number(),
    failed: z.number(),
    gaps: z.looseObject({ file: z.string(), sha256: z.string(), count: z.number() }).nullable(),
  }),
});

const gapSchema = z.looseObject({
  host: z.string(),
  owner: z.string().nullable(),
  repo: z.string().nullable(),
  run_id: z.number().nullable(),
  job_id: z.number().nullable(),
  jobs: z.number(),
  reason: z.string(),
  since: z.string().nullable(),
});

const DAY_MS = 24 * 60 * 60_000;
/** Digests read for one page, at an hour's interval five weeks of them. */
const DIGESTS_MAX = 900;
/** Digests kept; they are at most 4 KiB each and never change. */
const KEPT_MAX = 2_000;
/** A gaps file is read whole up to this. */
const GAPS_BYTES_MAX = 16 * 1024 * 1024;
const GAPS_SHOWN_MAX = 1_000;
const GAPS_FILE = /^[0-9a-f]{64}\.gaps\.ndjson$/;

type DigestSummary = z.infer<typeof completenessSchema>;

/** Reads what digests say of completeness; whether they are signed and chained is for `verify`. */
export class DigestDays {
  readonly #store: ObjectStore;
  readonly #kept = new Map<number, StoredDigest>();

  constructor(store: ObjectStore) {
    this.#store = store;
  }

  /**
   * The days that have digests, newest first, since a moment. `isCut` where there were too many digests to read.
   * @throws EverlogError where the store does not answer
   */
  async since(
    sinceMs: number,
    onProblem: (key: string, problem: string) => void,
  ): Promise<{ readonly days: readonly DigestDay[]; readonly isCut: boolean }> {
    const digests = new Digests(this.#store, onProblem);
    const days = new Map<string, DigestDay>();
    let next = await digests.endingFrom(1, sinceMs);
    let read = 0;
    for (; next !== null && read < DIGESTS_MAX; read += 1) {
      const told = completenessSchema.safeParse(JSON.parse(next.bytes.toString('utf8')));
      if (told.success) addDigest(days, next.sequence, told.data);
      else onProblem(`digest ${next.sequence}`, 'says nothing of completeness that can be read');
      this.#keep(next);
      const following = this.#kept.get(next.sequence + 1);
      next = following ?? (await digests.from(next.sequence + 1));
    }
    return { days: [...days.values()].toReversed(), isCut: next !== null };
  }

  /** The gaps of the last digest of a day; null where the day has none. */
  async gapsOf(
    day: string,
    onProblem: (key: string, problem: string) => void,
  ): Promise<{
    readonly sequence: number;
    readonly count: number;
    readonly gaps: readonly ToldGap[];
  } | null> {
    const startMs = Date.parse(`${day}T00:00:00Z`);
    const { days } = await this.since(startMs, onProblem);
    const found = days.find((one) => one.day === day);
    if (found === undefined) return null;
    const { sequence } = found.last;
    const digest = await new Digests(this.#store, onProblem).from(sequence);
    const told = completenessSchema.safeParse(JSON.parse(digest?.bytes.toString('utf8') ?? 'null'));
    const file = told.data?.completeness.gaps ?? null;
    if (file === null) return { sequence, count: 0, gaps: [] };
    const key = `${digestFolder(sequence)}${file.file}`;
    const stored = GAPS_FILE.test(file.file) ? await readWhole(this.#store, key) : null;
    const isTold =
      stored !== null &&
      stored.bytes.length <= GAPS_BYTES_MAX &&
      createHash('sha256').update(stored.bytes).digest('hex') === file.sha256;
    if (!isTold) {
      onProblem(key, 'is missing, too large, or not the file that the digest names');
      return { sequence, count: file.count, gaps: [] };
    }
    return { sequence, count: file.count, gaps: gapsIn(stored.bytes) };
  }

  #keep(digest: StoredDigest): void {
    if (this.#kept.size >= KEPT_MAX) this.#kept.clear();
    this.#kept.set(digest.sequence, digest);
  }
}

function addDigest(
  days: Map<string, DigestDay>,
  sequence: number,
  { window_end, completeness }: DigestSummary,
): void {
  // A window belongs to the day in which it began to end: midnight itself ends the day before.
  const day = new Date(Date.parse(window_end) - 1).toISOString().slice(0, 10);
  const known = days.get(day);
  const absent = new Map(known?.absent);
  for (const [outcome, jobs] of Object.entries(completeness.absent))
    absent.set(outcome, (absent.get(outcome) ?? 0) + jobs);
  days.set(day, {
    day,
    digests: (known?.digests ?? 0) + 1,
    expected: (known?.expected ?? 0) + completeness.expected,
    archived: (known?.archived ?? 0) + completeness.archived,
    absent,
    last: {
      sequence,
      pending: completeness.pending,
      failed: completeness.failed,
      gaps: completeness.gaps?.count ?? 0,
      reconciledThrough: completeness.reconciled_through,
    },
  });
}

function gapsIn(bytes: Buffer): ToldGap[] {
  const gaps: ToldGap[] = [];
  for (const line of bytes.toString('utf8').split('\n')) {
    if (gaps.length >= GAPS_SHOWN_MAX) break;
    if (line === '') continue;
    const parsed = gapSchema.safeParse(parseJsonOrNull(line));
    if (!parsed.success) continue;
    const { host, owner, repo, run_id, job_id, jobs, reason, since } = parsed.data;
    const place = [host, owner, repo].filter((part) => part !== null).join('/');
    gaps.push({ place, runId: run_id, jobId: job_id, jobs, reason, since });
  }
  return gaps;
}

/** Midnight, so many days before a moment. */
export function daysBefore(now: Date, days: number): number {
  return Date.parse(`${new Date(now.getTime() - days * DAY_MS).toISOString().slice(0, 10)}T00:00:00Z`);
}
