import { z } from 'zod';
import { digestFolder } from '../../archive/keys.ts';
import { Digests, type StoredDigest } from '../../ledger/export/digests.ts';
import { sha256Hex } from '../../ledger/standing-digests.ts';
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
  interval_seconds: z.number().positive(),
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
/** Days of one page, and then some. */
const DAYS_MAX = 400;
/** Digests read for one page, at an hour's interval five weeks of them. */
const DIGESTS_MAX = 900;
/** Of them, those that an interval is expected to make; the rest is for windows that were cut short. */
const EXPECTED_MAX = 800;
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
   * The days that have digests, newest first, since a moment. `left` says which were left out where there are too many digests
   * to read: `older` days, or, where the interval has become shorter, `newer` ones.
   * @throws EverlogError where the store does not answer
   */
  async since(
    sinceMs: number,
    nowMs: number,
    onProblem: (key: string, problem: string) => void,
  ): Promise<{ readonly days: readonly DigestDay[]; readonly left: 'none' | 'older' | 'newer' }> {
    const digests = new Digests(this.#store, onProblem);
    const days = new Map<string, DigestDay>();
    const first = await digests.endingFrom(1, sinceMs);
    const startMs = first === null ? sinceMs : earliestRead(first, sinceMs, nowMs);
    let next =
      startMs > sinceMs && first !== null ? await digests.endingFrom(first.sequence, startMs) : first;
    let read = 0;
    for (; next !== null && read < DIGESTS_MAX; read += 1) {
      const told = toldBy(next);
      if (told === null)
        onProblem(`digest ${next.sequence}`, 'says nothing of completeness that can be read');
      else addDigest(days, next.sequence, told);
      this.#keep(next);
      const following = this.#kept.get(next.sequence + 1);
      next = following ?? (await digests.from(next.sequence + 1));
    }
    const left = next !== null ? 'newer' : startMs > sinceMs ? 'older' : 'none';
    return { days: [...days.values()].toReversed(), left };
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
    const digest = await lastOf(new Digests(this.#store, onProblem), startMs);
    if (digest === null) return null;
    const { sequence } = digest;
    const told = toldBy(digest);
    if (told === null) {
      onProblem(`digest ${sequence}`, 'says nothing of completeness that can be read');
      return null;
    }
    const file = told.completeness.gaps;
    if (file === null) return { sequence, count: 0, gaps: [] };
    const key = `${digestFolder(sequence)}${file.file}`;
    const bytes = GAPS_FILE.test(file.file) ? await this.#gapsFile(key) : null;
    if (bytes === null || sha256Hex(bytes) !== file.sha256) {
      onProblem(key, 'is missing, too large, or not the file that the digest names');
      return { sequence, count: file.count, gaps: [] };
    }
    return { sequence, count: file.count, gaps: gapsIn(bytes) };
  }

  async #gapsFile(key: string): Promise<Buffer | null> {
    const head = await this.#store.head(key);
    if (head === null || head.bytes > GAPS_BYTES_MAX) return null;
    return (await readWhole(this.#store, key))?.bytes ?? null;
  }

  #keep(digest: StoredDigest): void {
    if (this.#kept.size >= KEPT_MAX) this.#kept.clear();
    this.#kept.set(digest.sequence, digest);
  }
}

function toldBy({ bytes }: StoredDigest): DigestSummary | null {
  return completenessSchema.safeParse(JSON.parse(bytes.toString('utf8'))).data ?? null;
}

/** The midnight from which on there are, at the interval of a digest, no more than can be read. */
function earliestRead(first: StoredDigest, sinceMs: number, nowMs: number): number {
  const intervalMs = (toldBy(first)?.interval_seconds ?? 0) * 1_000;
  if (intervalMs === 0 || (nowMs - sinceMs) / intervalMs <= EXPECTED_MAX) return sinceMs;
  const midnight = (ms: number): number => Math.floor(ms / DAY_MS) * DAY_MS;
  const earliestMs = midnight(nowMs - EXPECTED_MAX * intervalMs) + DAY_MS;
  return Math.max(sinceMs, Math.min(earliestMs, midnight(nowMs)));
}

/** The last digest of the day that begins at a moment; null where it has none. */
async function lastOf(digests: Digests, startMs: number): Promise<StoredDigest | null> {
  const isOfDay = (digest: StoredDigest | null): digest is StoredDigest =>
    digest !== null && digest.windowEndMs > startMs && digest.windowEndMs <= startMs + DAY_MS;
  let last = await digests.endingFrom(1, startMs + 1);
  if (!isOfDay(last)) return null;
  for (let step = 1; step > 0;) {
    const later: StoredDigest | null = await digests.from(last.sequence + step);
    if (isOfDay(later)) [last, step] = [later, step * 2];
    else step = Math.floor(step / 2);
  }
  return last;
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

/** Days without a digest stand between those that have one, up to a last day, as days of nothing. */
export function withEmptyDays(days: readonly DigestDay[], lastDay: string): readonly (DigestDay | string)[] {
  const [oldest, byDay] = [days.at(-1)?.day ?? lastDay, new Map(days.map((day) => [day.day, day]))];
  const all: (DigestDay | string)[] = [];
  for (let ms = Date.parse(lastDay); ms >= Date.parse(oldest) && all.length < DAYS_MAX; ms -= DAY_MS) {
    const day = new Date(ms).toISOString().slice(0, 10);
    all.push(byDay.get(day) ?? day);
  }
  return all;
}

/** Midnight, so many days before a moment. */
export function daysBefore(now: Date, days: number): number {
  return Date.parse(`${new Date(now.getTime() - days * DAY_MS).toISOString().slice(0, 10)}T00:00:00Z`);
}
