import { parseKey, type ParsedKey } from '../../../archive/keys.ts';
import { parseCustodyFacts, parseRecordFacts, parseRunFacts } from '../chain/schemas.ts';
import type { Result } from '../results.ts';
import type { Scope } from '../scope.ts';
import { isThatCustody, recordDisagreement, runDisagreement } from './agreement.ts';
import { readBytes } from './object-bytes.ts';

/**
 * What stands below `v1/` and is in no digest. It may be waiting for its digest, which only its own word can say: it has to be
 * whole, to belong where it stands, and to say that it was written within the last two windows. The store's time of it is whatever
 * somebody set: it gives no grace, and takes it away where it contradicts.
 */

export interface Uncovered {
  readonly key: string;
  /** Null: the only version. */
  readonly versionId: string | null;
  readonly modifiedMs: number;
  /** When what it claims to follow says that it was written; null where that is not known. */
  readonly laterThanMs: number | null;
}

/** What the ledger's windows and the clock let one conclude. */
export interface GraceTerms {
  /** Two intervals; 0 where no digest tells how long one is. */
  readonly graceMs: number;
  /** End of the last window that is believed; 0: there is none. */
  readonly windowEndMs: number;
}

/** What comes of the objects of one group. */
export interface Judged {
  readonly results: readonly Result[];
  /** Keys of those with which nothing is wrong but that no digest vouches for them yet. */
  readonly waiting: readonly string[];
}

/** Clocks of writers, of the store and of this machine may differ by so much. */
const CLOCK_SKEW_MS = 5 * 60_000;
/** Records of jobs with hundreds of steps stay under 1 MiB. */
const WHOLE_BYTES_MAX = 16 * 1024 * 1024;

/** Judges the objects of one group that no digest covers. */
export async function judgeUncovered(
  scope: Scope,
  objects: readonly Uncovered[],
  terms: GraceTerms,
): Promise<Judged> {
  const results: Result[] = [];
  const waiting: string[] = [];
  const logs: string[] = [];
  const named = new Set<string>();
  for (const object of objects) {
    const { key } = object;
    const parsed = parseKey(key);
    if (scope.isBundle) results.push(unsealed(key, 'no digest here covers it, and a bundle waits for none'));
    else if (parsed === null)
      results.push(unsealed(key, 'it is in no digest, and Everlog writes no such object'));
    else if (parsed.type === 'log') logs.push(key);
    else {
      const verdict = await judgeOne(scope, object, parsed, terms);
      if ('problem' in verdict) results.push(unsealed(key, `it is in no digest, and ${verdict.problem}`));
      else if (!verdict.isOutside) waiting.push(key);
      if (!('problem' in verdict) && verdict.log !== null) named.add(verdict.log);
    }
  }
  const detail = 'no record that can be believed names this log: it is no evidence until one does';
  for (const key of logs) if (!named.has(key)) results.push({ result: 'NOT_CHECKED', key, detail });
  return { results, waiting };
}

type Verdict = { readonly problem: string } | { readonly isOutside: boolean; readonly log: string | null };

async function judgeOne(
  scope: Scope,
  object: Uncovered,
  parsed: Exclude<ParsedKey, { readonly type: 'log' }>,
  terms: GraceTerms,
): Promise<Verdict> {
  const read = await readBytes(scope.store, object, WHOLE_BYTES_MAX);
  if (read.state !== 'read') return { problem: 'it cannot be read' };
  const { at, log, problem } = wordOf(object.key, parsed, read.bytes);
  if (problem !== null) return { problem };
  const said = Date.parse(at ?? '');
  if (Number.isNaN(said)) return { problem: 'does not say when it was written' };
  const { fromMs, toMs } = scope.range;
  if ((fromMs !== null && said < fromMs) || (toMs !== null && said > toMs)) return { isOutside: true, log };
  const wrong = impossible(scope.nowMs, said, object) ?? late(scope.nowMs, said, object.modifiedMs, terms);
  return wrong === null ? { isOutside: false, log } : { problem: wrong };
}

/** What cannot be, whatever the grace is. */
function impossible(nowMs: number, said: number, { modifiedMs, laterThanMs }: Uncovered): string | null {
  const future = nowMs + CLOCK_SKEW_MS;
  if (said > future) return `says that it was written at ${iso(said)}, which is to come`;
  if (modifiedMs > future) return `the store dates it at ${iso(modifiedMs)}, which is to come`;
  if (laterThanMs === null || said > laterThanMs) return null;
  return `says that it was written at ${iso(said)}, not after what it follows`;
}

function late(nowMs: number, said: number, modifiedMs: number, terms: GraceTerms): string | null {
  const latestMs = Math.max(nowMs, terms.windowEndMs);
  if (latestMs - said > terms.graceMs) return `says that it was written at ${iso(said)}, two windows ago`;
  return nowMs - modifiedMs > terms.graceMs ? `stands there since ${iso(modifiedMs)}, for two windows` : null;
}

interface Word {
  readonly at: string | null;
  /** The log that it names. */
  readonly log: string | null;
  /** Why it is not what its key says. */
  readonly problem: string | null;
}

function wordOf(key: string, parsed: Exclude<ParsedKey, { readonly type: 'log' }>, bytes: Buffer): Word {
  const none = (problem: string): Word => ({ at: null, log: null, problem });
  if (parsed.type === 'record') {
    const record = parseRecordFacts(bytes);
    if (!record.ok) return none(`is no record: ${record.problem}`);
    const { recorded_at: at = null, log } = record.value;
    return { at, log: log?.key ?? null, problem: recordDisagreement(parsed, record.value) };
  }
  if (parsed.type === 'run') {
    const run = parseRunFacts(bytes);
    if (!run.ok) return none(`is no object of a run: ${run.problem}`);
    return { at: run.value.recorded_at ?? null, log: null, problem: runDisagreement(parsed, run.value) };
  }
  const custody = parseCustodyFacts(bytes);
  if (!custody.ok) return none(`is no custody object: ${custody.problem}`);
  const isThat = isThatCustody(key, custody.value);
  return { at: custody.value.at, log: null, problem: isThat ? null : 'its key has another id or day' };
}

function unsealed(key: string, detail: string): Result {
  return { result: 'UNSEALED', key, detail };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
