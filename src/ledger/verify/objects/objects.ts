import { CUSTODY_ROOT } from '../../../archive/keys.ts';
import type { ObjectStore } from '../../../store/object-store.ts';
import type { EntryLog, LedgerEntry } from '../../formats/formats.ts';
import { openBoundedWork, type BoundedWork } from '../bounded-work.ts';
import { openDiskGroupBy, type DiskGroupBy } from './disk-group-by.ts';
import { compareGroup } from './comparison.ts';
import { checkEntry, placeOf, type CheckedEntry, type SealedEntry } from './contents.ts';
import { groupOf, jobGroup, parseFact, type EntryFact, type Fact, type RemovalFact } from '../facts.ts';
import { readBytes } from './object-bytes.ts';
import { Reservoir } from '../reservoir.ts';
import { parseCustodyFacts, type CustodyFacts, type RunFacts } from '../chain/schemas.ts';
import { EVIDENCE_ROOT, type Level, type Scope } from '../scope.ts';
import { judgeUncovered, type GraceTerms, type Uncovered } from './uncovered.ts';

/** Objects looked at at once: hides a store's latency, and holds at most 16 small objects in memory. */
const AT_ONCE = 16;
/** Which repository bore which name: not sealed, and rebuilt from records. Nothing else belongs there, and none into a bundle. */
const NAME =
  /^v1\/names\/host=[^/]+\/(owner=[^/]+\/repo=[^/]+\/[1-9]\d{0,15}|id=[1-9]\d{0,15}\/[^/~]+~[^/~]+)\.json$/;
/** Clocks of writers and of the store may differ by much; reading a few custody objects twice costs little. */
const RECENT_MS = 86_400_000;
const CUSTODY_BYTES_MAX = 16 * 1024 * 1024;

/**
 * The objects that the ledger names, on one side, and those that stand in the archive, on the other. Both sides go through
 * buckets on disk, so that memory does not grow with the archive.
 */
export class Objects {
  readonly #scope: Scope;
  readonly #work: BoundedWork = openBoundedWork(AT_ONCE);
  readonly #facts: DiskGroupBy<Fact>;
  readonly #sample: Reservoir<SealedEntry> | null;
  /** Objects that may be waiting for their digest, and the first of them. */
  #waiting = 0;
  #waitingKey: string | null = null;

  constructor(scope: Scope, temporaryFolder: string, random: () => number) {
    this.#scope = scope;
    this.#facts = openDiskGroupBy(temporaryFolder, parseFact);
    this.#sample = scope.sample === null ? null : new Reservoir(scope.sample, random);
  }

  /** Whether all objects are compared with the listing. */
  get #comparesAll(): boolean {
    return this.#scope.level !== 'ledger';
  }

  /** Takes an entry of the ledger and looks at its objects as the level asks; resolves when there is room for more. */
  async take(sealed: SealedEntry, isAsked: boolean): Promise<void> {
    const { type } = sealed.entry;
    if (!isConcerned(this.#scope, sealed.entry)) return;
    if (isAsked) this.#sample?.offer(sealed);
    if (!this.#comparesAll && (this.#sample === null || type !== 'custody')) return;
    await this.#work.add(async () => {
      // What a custody object says may explain what is missing elsewhere, whichever part is looked at.
      const level = isAsked || type === 'custody' ? this.#levelOf(type) : 'ledger';
      const checked = await checkEntry(this.#scope, sealed, level);
      if (this.#comparesAll) await this.#addEntry(sealed, checked, isAsked);
      await this.#addClaims(sealed, checked);
    });
  }

  /**
   * Looks at the sample and at the listing, and reports what comes of comparing them with the ledger. Custody objects that
   * were written after the last window, or up to a day before, may not be sealed yet: what they claim is named, not believed.
   */
  async compare(terms: GraceTerms): Promise<void> {
    await this.#work.drain();
    for (const sealed of this.#sample?.kept ?? []) {
      await this.#work.add(() => this.#lookAtSampled(sealed));
    }
    await this.#work.drain();
    if (this.#comparesAll) await this.#list(terms.windowEndMs - RECENT_MS);
    for await (const groups of this.#facts.groups()) {
      for (const facts of groups.values()) {
        const { results, uncovered, valid } = compareGroup(facts);
        this.#scope.meter.valid += valid;
        for (const result of results) await this.#scope.report(result);
        if (uncovered.length > 0) await this.#work.add(() => this.#judge(uncovered, terms));
      }
    }
    await this.#work.drain();
    await this.#reportWaiting();
  }

  async close(): Promise<void> {
    await this.#facts.close();
  }

  async #judge(uncovered: readonly Uncovered[], terms: GraceTerms): Promise<void> {
    const { results, waiting } = await judgeUncovered(this.#scope, uncovered, terms);
    for (const result of results) await this.#scope.report(result);
    this.#waitingKey ??= waiting[0] ?? null;
    this.#waiting += waiting.length;
  }

  async #reportWaiting(): Promise<void> {
    if (this.#waitingKey === null) return;
    const what = this.#waiting === 1 ? 'it waits' : `it and ${this.#waiting - 1} others wait`;
    const detail = `${what} for the next digest: no digest vouches for what was written in the last two windows`;
    await this.#scope.report({ result: 'NOT_CHECKED', key: this.#waitingKey, detail });
  }

  #levelOf(type: LedgerEntry['type']): Level {
    const { level } = this.#scope;
    return type === 'custody' && level === 'ledger' ? 'bytes' : level;
  }

  async #lookAtSampled(sealed: SealedEntry): Promise<void> {
    const checked = await checkEntry(this.#scope, sealed, 'bytes');
    if (this.#comparesAll) return;
    await this.#addEntry(sealed, checked, true);
    const { entry } = sealed;
    for (const key of entry.log === undefined ? [entry.key] : [entry.key, entry.log.key]) {
      for await (const listed of this.#scope.store.listVersions(key)) {
        if (listed.key === key) await this.#addVersion(listed);
      }
    }
  }

  async #addEntry(sealed: SealedEntry, checked: CheckedEntry, isAsked: boolean): Promise<void> {
    const { entry } = sealed;
    const { log } = entry;
    const { state, saidMs } = checked;
    await this.#add(entryFact(sealed, entry, { state, isAsked, hasLog: log !== undefined, saidMs }));
    if (log !== undefined && checked.log !== null) {
      const facts = { state: checked.log, isAsked, hasLog: false, isLog: true, saidMs: null };
      await this.#add(entryFact(sealed, log, facts));
    }
    // Whether its jobs are recorded is only known where everything is looked at.
    if (checked.run !== null && isAsked && this.#comparesAll && !this.#scope.isBundle) {
      await this.#addExpectations(entry.key, checked.run);
    }
  }

  async #addExpectations(run: string, { host, run_id: runId, ...facts }: RunFacts): Promise<void> {
    if (!facts.complete) return;
    const archived = new Set(facts.archived);
    for (const jobId of new Set([...facts.expected, ...facts.archived])) {
      const needsLog = archived.has(jobId);
      await this.#facts.add(jobGroup(host, runId, jobId), { kind: 'expectation', run, jobId, needsLog });
    }
  }

  async #addClaims({ entry, believed }: SealedEntry, { custody }: CheckedEntry): Promise<void> {
    if (custody !== null) await this.#addRemovals(entry.key, custody, believed);
  }

  async #addRemovals(by: string, custody: CustodyFacts, isSealed: boolean): Promise<void> {
    const word: RemovalFact['word'] | null =
      custody.action === 'purge' ? 'ERASED' : custody.action === 'expiry' ? 'EXPIRED' : null;
    if (word === null) return;
    for (const { key, version_id: version, sha256 } of custody.objects) {
      await this.#add({ kind: 'removal', key, version, sha256, word, by, isSealed });
    }
  }

  async #list(recentMs: number): Promise<void> {
    const { selected } = this.#scope;
    for (const prefix of selected === null ? [EVIDENCE_ROOT] : [...selected.prefixes, CUSTODY_ROOT]) {
      await this.#listBelow(prefix, recentMs);
    }
  }

  async #listBelow(prefix: string, recentMs: number): Promise<void> {
    const { selected } = this.#scope;
    for await (const listed of this.#scope.store.listVersions(prefix)) {
      this.#scope.meter.listed += 1;
      if (!this.#scope.isBundle && NAME.test(listed.key)) continue;
      if (selected === null || selected.has(listed.key)) await this.#addVersion(listed);
      const { key, isDeleteMarker, lastModified } = listed;
      if (!key.startsWith(CUSTODY_ROOT) || isDeleteMarker || lastModified.getTime() < recentMs) continue;
      const read = await readBytes(this.#scope.store, { key, versionId: null }, CUSTODY_BYTES_MAX);
      const parsed = read.state === 'read' ? parseCustodyFacts(read.bytes) : null;
      if (parsed?.ok === true) await this.#addRemovals(key, parsed.value, false);
    }
  }

  async #addVersion(listed: Listed): Promise<void> {
    const { key, versionId: version, isDeleteMarker } = listed;
    await this.#add({
      kind: 'version',
      key,
      version,
      modifiedMs: listed.lastModified.getTime(),
      isDeleteMarker,
    });
  }

  async #add(fact: Exclude<Fact, { kind: 'expectation' }>): Promise<void> {
    await this.#facts.add(groupOf(fact.key), fact);
  }
}

/** Whether what is asked for may hang on an entry: of itself, of its log, or as what tells of a removal. */
function isConcerned({ selected }: Scope, { key, log }: LedgerEntry): boolean {
  if (selected === null) return true;
  return selected.has(key) || selected.needs(key) || (log !== undefined && selected.has(log.key));
}

type Listed = ReturnType<ObjectStore['listVersions']> extends AsyncIterable<infer L> ? L : never;

function entryFact(
  sealed: SealedEntry,
  it: LedgerEntry | EntryLog,
  facts: Pick<EntryFact, 'state' | 'isAsked' | 'hasLog' | 'saidMs'> & { readonly isLog?: boolean },
): EntryFact {
  const { key, versionId } = placeOf(sealed, it);
  const { sequence } = sealed;
  return { kind: 'entry', key, version: versionId, sequence, sha256: it.sha256, isLog: false, ...facts };
}
