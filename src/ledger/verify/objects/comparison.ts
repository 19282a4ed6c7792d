import { parseKey } from '../../../archive/keys.ts';
import type { EntryFact, ExpectationFact, Fact, RemovalFact, VersionFact } from '../facts.ts';
import type { Result } from '../results.ts';
import type { Uncovered } from './uncovered.ts';

export interface Compared {
  readonly results: readonly Result[];
  /** What stands there and is in no digest. */
  readonly uncovered: readonly Uncovered[];
  /** Sealed objects with which nothing is wrong. */
  readonly valid: number;
}

interface KeyFacts {
  readonly entries: EntryFact[];
  readonly versions: VersionFact[];
  readonly removals: RemovalFact[];
}

/** Compares what the ledger says of one group with what is listed of it. */
export function compareGroup(facts: readonly Fact[]): Compared {
  const results: Result[] = [];
  const uncovered: Uncovered[] = [];
  let valid = 0;
  const byKey = new Map<string, KeyFacts>();
  const expectations: ExpectationFact[] = [];
  for (const fact of facts) {
    if (fact.kind === 'expectation') expectations.push(fact);
    else addTo(byKey, fact);
  }
  for (const [key, about] of byKey) {
    results.push(...overlays(key, about));
    if (about.entries.length === 0) {
      const object = uncoveredOf(key, about, byKey);
      if (object !== null) uncovered.push(object);
    } else {
      const own = judgeSealed(key, about);
      results.push(...own);
      if (isValid(about, own)) valid += 1;
    }
  }
  results.push(...unmet(expectations, byKey));
  return { results, uncovered, valid };
}

function addTo(byKey: Map<string, KeyFacts>, fact: EntryFact | VersionFact | RemovalFact): void {
  const known = byKey.get(fact.key) ?? { entries: [], versions: [], removals: [] };
  byKey.set(fact.key, known);
  if (fact.kind === 'entry') known.entries.push(fact);
  else if (fact.kind === 'version') known.versions.push(fact);
  else known.removals.push(fact);
}

function overlays(key: string, { versions, entries }: KeyFacts): Result[] {
  const results: Result[] = [];
  const live = versions.filter(({ isDeleteMarker }) => !isDeleteMarker).length;
  const markers = versions.length - live;
  const sealed = entries.find(({ version }) => version !== null)?.version ?? null;
  const meant = sealed === null ? '' : `; version ${sealed} was sealed`;
  if (live > 1) results.push({ result: 'SHADOWED', key, detail: `${live} versions${meant}` });
  if (markers > 0) {
    const what = markers === 1 ? 'a delete marker stands' : `${markers} delete markers stand`;
    results.push({ result: 'HIDDEN', key, detail: `${what} on it` });
  }
  const contradiction = sealedTwice(entries);
  if (contradiction !== null) results.push({ result: 'SHADOWED', key, detail: contradiction });
  return results;
}

/** A log may be named by several revisions of its record, which then agree; everything else is sealed once. */
function sealedTwice(entries: readonly EntryFact[]): string | null {
  const [first, ...others] = entries;
  if (first === undefined || others.length === 0) return null;
  const agree = others.every(({ sha256, version }) => sha256 === first.sha256 && version === first.version);
  if (agree && first.isLog) return null;
  const digests = [...new Set(entries.map(({ sequence }) => sequence))].sort((a, b) => a - b).join(', ');
  return `the ledger has ${entries.length} entries of it, in digest ${digests}${agree ? '' : ', that contradict each other'}`;
}

function uncoveredOf(
  key: string,
  { versions }: KeyFacts,
  byKey: ReadonlyMap<string, KeyFacts>,
): Uncovered | null {
  const [oldest] = versions
    .filter(({ isDeleteMarker }) => !isDeleteMarker)
    .sort((a, b) => a.modifiedMs - b.modifiedMs);
  if (oldest === undefined) return null;
  const { version: versionId, modifiedMs } = oldest;
  return {
    key,
    versionId: versions.length === 1 ? null : versionId,
    modifiedMs,
    laterThanMs: before(key, byKey),
  };
}

/** When the newest sealed revision before this one of a record or run says that it was written. */
function before(key: string, byKey: ReadonlyMap<string, KeyFacts>): number | null {
  const own = parseKey(key);
  if (own?.type !== 'record' && own?.type !== 'run') return null;
  let latest: number | null = null;
  for (const [other, { entries }] of byKey) {
    const parsed = parseKey(other);
    if (parsed?.type !== own.type || parsed.revision >= own.revision) continue;
    for (const { saidMs } of entries) if (saidMs !== null) latest = Math.max(latest ?? saidMs, saidMs);
  }
  return latest;
}

function judgeSealed(key: string, about: KeyFacts): Result[] {
  const entry = about.entries.find(({ isAsked }) => isAsked);
  if (entry === undefined) return [];
  const live = about.versions.filter(({ isDeleteMarker }) => !isDeleteMarker);
  const isThere = live.some(({ version }) => entry.version === null || version === entry.version);
  if (isThere) {
    if (about.entries.every(({ state }) => state !== 'gone')) return [];
    return [{ result: 'MISSING', key, detail: 'it is listed, but the store does not give it' }];
  }
  const removal = about.removals.find((it) => it.isSealed && isOf(it, entry));
  if (removal !== undefined)
    return [{ result: removal.word, key, detail: `removed with evidence: ${removal.by}` }];
  const claim = about.removals.find(({ isSealed }) => isSealed) ?? about.removals[0];
  const others = live.length === 0 ? '' : `; ${live.length} other versions stand there`;
  const claimed =
    claim === undefined
      ? ''
      : `; ${claim.by} claims its removal, but ${claim.isSealed ? 'of other bytes' : 'is in no believed digest'}`;
  return [{ result: 'MISSING', key, detail: `sealed by digest ${entry.sequence}${others}${claimed}` }];
}

function isOf(removal: RemovalFact, entry: EntryFact): boolean {
  const isVersion = removal.version === null || entry.version === null || removal.version === entry.version;
  return isVersion && removal.sha256 === entry.sha256;
}

function isValid(about: KeyFacts, own: readonly Result[]): boolean {
  return (
    own.length === 0 &&
    about.versions.length === 1 &&
    about.entries.every(({ state, isAsked }) => isAsked && state === 'sound') &&
    sealedTwice(about.entries) === null
  );
}

/** A complete run's jobs are all recorded, and those that it calls archived have a log. */
function unmet(expectations: readonly ExpectationFact[], byKey: ReadonlyMap<string, KeyFacts>): Result[] {
  if (expectations.length === 0) return [];
  const records = [...byKey].filter(([key]) => parseKey(key)?.type === 'record');
  const isRecorded = records.some(([, { entries, versions }]) => entries.length > 0 || versions.length > 0);
  const hasLog = records.some(([, { entries }]) => entries.some((entry) => entry.hasLog));
  // A record that is not sealed yet has no entry that could name its log.
  const maySoon = records.some(([, { entries }]) => entries.length === 0);
  const results: Result[] = [];
  for (const { run, jobId, needsLog } of expectations) {
    if (!isRecorded) {
      const detail = `the run is said to be complete, but job ${jobId} has no record`;
      results.push({ result: 'INCOMPLETE', key: run, detail });
    } else if (needsLog && !hasLog && !maySoon) {
      const detail = `job ${jobId} is said to be archived, but none of its records has a log`;
      results.push({ result: 'INCOMPLETE', key: run, detail });
    }
  }
  return results;
}
