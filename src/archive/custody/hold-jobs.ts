import { commitCustody, CUSTODY_OBJECTS_MAX, readCustodies } from './custody.ts';
import type { CustodyDeps } from './custody.ts';
import type { Custody, CustodyObject } from './custody-format.ts';
import { newestRevisions, readRecord, type ReadingHooks, type StoredRecord } from '../find/find-records.ts';
import { readHolds, type Holds } from './holds.ts';
import { forEachInFlight } from '../../in-flight.ts';
import { custodyObjectOf, versionsOfJob } from './job-versions.ts';
import { parseKey, recordKey, type JobAddress } from '../keys.ts';
import { matchingJobs } from '../find/matching-jobs.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { openRecordFilter, type RecordFilters } from '../find/record-filters.ts';
import { findPlaces } from '../find/scan-records.ts';

/** Puts jobs under a legal hold by case and releases them: custody objects everywhere, the store's own legal holds where it has them. */

/** What every change to a hold needs. */
export interface HoldDeps extends CustodyDeps {
  /** An archive whose commits the sealer is told of. */
  readonly store: ObjectStore;
  readonly who: Custody['who'];
  readonly version: string;
}

/** A case, and what of the archive is meant. */
export interface HoldOrder {
  readonly case: string;
  readonly reason: string | null;
  readonly filters: RecordFilters;
  /** The filters as they were given. */
  readonly scope: Readonly<Record<string, string>>;
}

export interface HoldReport {
  readonly case: string;
  /** Jobs that the case holds now and did not before; when releasing, those that it held and does not any more. */
  readonly jobs: number;
  readonly objects: number;
  /** Adding: jobs that the case held already. Releasing: jobs that another case goes on holding. */
  readonly unchanged: number;
  /** `none` where the store has no locks: then only Everlog's own commands heed the hold. */
  readonly locks: 'store' | 'none';
  /** Custody objects written. */
  readonly custody: readonly string[];
}

/** Legal holds set at once. */
const HOLDS_IN_FLIGHT_MAX = 16;

/** Holds every matching job. The claim is written first: a crash leaves a hold that is claimed and can be completed by the same command. */
export async function addHold(deps: HoldDeps, order: HoldOrder, hooks: ReadingHooks): Promise<HoldReport> {
  const holds = await readHolds(deps.store, hooks.onProblem);
  const change = new HoldChange(laterThan(deps, holds.changedAt(order.case)), order, 'hold_added');
  for await (const stored of matchingJobs(deps.store, order.filters, hooks)) {
    const versions = await heldVersions(deps.store, stored);
    if (holds.casesOf(stored.address).includes(order.case)) {
      change.unchanged += 1;
      await change.setAll(versions, true);
    } else await change.add(versions);
  }
  return change.finish();
}

/** Releases what the case holds of the matching jobs. The store's hold stays on what another case holds too. */
export async function releaseHold(
  deps: HoldDeps,
  order: HoldOrder,
  hooks: ReadingHooks,
): Promise<HoldReport> {
  const holds = await readHolds(deps.store, hooks.onProblem);
  const change = new HoldChange(laterThan(deps, holds.changedAt(order.case)), order, 'hold_removed');
  const isMeant = await filterOf(deps.store, order.filters);
  for await (const { address, named } of jobsOfCase(deps.store, order.case, holds)) {
    const stored = await newestRecord(deps.store, address, hooks);
    if (!(await isMeant(stored))) continue;
    const versions = stored === null ? named : await heldVersions(deps.store, stored);
    const isHeldElsewhere = holds.casesOf(address).some((name) => name !== order.case);
    if (isHeldElsewhere) change.unchanged += 1;
    await change.add(versions, isHeldElsewhere);
  }
  return change.finish();
}

/** What a case did last counts, by the clock: that of this machine may be behind the one that changed the case before. */
function laterThan(deps: HoldDeps, changedAt: Date | null): HoldDeps {
  if (changedAt === null) return deps;
  return { ...deps, now: () => new Date(Math.max(deps.now().getTime(), changedAt.getTime() + 1)) };
}

/** Batches of jobs whose custody object and legal holds belong together. */
class HoldChange {
  readonly #deps: HoldDeps;
  readonly #order: HoldOrder;
  readonly #action: 'hold_added' | 'hold_removed';
  readonly #custody: string[] = [];
  #named: CustodyObject[] = [];
  #changed: CustodyObject[] = [];
  #jobs = 0;
  #objects = 0;
  #jobsInBatch = 0;
  #locks: 'store' | 'none' = 'store';
  unchanged = 0;

  constructor(deps: HoldDeps, order: HoldOrder, action: 'hold_added' | 'hold_removed') {
    this.#deps = deps;
    this.#order = order;
    this.#action = action;
  }

  /** Takes in a job; `isKept`: its legal holds stay as they are. */
  async add(objects: readonly CustodyObject[], isKept = false): Promise<void> {
    this.#jobs += 1;
    this.#jobsInBatch += 1;
    this.#objects += objects.length;
    this.#named.push(...objects);
    if (!isKept) this.#changed.push(...objects);
    if (this.#named.length >= CUSTODY_OBJECTS_MAX) await this.#flush();
  }

  async finish(): Promise<HoldReport> {
    await this.#flush();
    return {
      case: this.#order.case,
      jobs: this.#jobs,
      objects: this.#objects,
      unchanged: this.unchanged,
      locks: this.#locks,
      custody: this.#custody,
    };
  }

  /** Sets or lifts legal holds, as long as the store has any. */
  async setAll(objects: readonly CustodyObject[], held: boolean): Promise<void> {
    await forEachInFlight(objects, HOLDS_IN_FLIGHT_MAX, async ({ key, version_id }) => {
      if (this.#locks === 'none') return;
      const answer = await this.#deps.store.setLegalHold(key, version_id, held);
      if (answer === 'unsupported') this.#locks = 'none';
    });
  }

  /** Claimed before it is held, and released before the claim ends: what is unsure counts as held. */
  async #flush(): Promise<void> {
    if (this.#named.length === 0) return;
    const [named, changed, jobs] = [this.#named, this.#changed, this.#jobsInBatch];
    [this.#named, this.#changed, this.#jobsInBatch] = [[], [], 0];
    if (this.#action === 'hold_removed') await this.setAll(changed, false);
    const { store, who, version } = this.#deps;
    const { scope, reason } = this.#order;
    const { key } = await commitCustody(
      store,
      {
        action: this.#action,
        who,
        reason,
        case: this.#order.case,
        scope,
        objects: named,
        result: { jobs, objects: named.length },
        archiver: { name: 'everlog', version },
      },
      this.#deps,
    );
    this.#custody.push(key);
    if (this.#action === 'hold_added') await this.setAll(changed, true);
  }
}

/** A delete marker can neither be held nor removed in vain. */
async function heldVersions(store: ObjectStore, stored: StoredRecord): Promise<CustodyObject[]> {
  const versions = await versionsOfJob(store, stored);
  return versions.filter(({ isDeleteMarker }) => !isDeleteMarker).map(custodyObjectOf);
}

/** The jobs that a case holds, each once, with the objects that were named when it took hold of them. */
async function* jobsOfCase(
  store: ObjectStore,
  name: string,
  holds: Holds,
): AsyncGenerator<{ address: JobAddress; named: CustodyObject[] }> {
  const seen = new Set<string>();
  for await (const { read } of readCustodies(store)) {
    if (!read.ok || read.custody.case !== name || read.custody.action !== 'hold_added') continue;
    const { custody } = read;
    const jobs = new Map<string, { address: JobAddress; named: CustodyObject[] }>();
    for (const object of custody.objects) {
      const parsed = parseKey(object.key);
      if (parsed?.type !== 'record' && parsed?.type !== 'log') continue;
      const id = recordKey(parsed.address, 1);
      const job = jobs.get(id) ?? { address: parsed.address, named: [] };
      job.named.push({ key: object.key, version_id: object.version_id, sha256: object.sha256 });
      jobs.set(id, job);
    }
    for (const [id, job] of jobs) {
      if (seen.has(id) || !holds.casesOf(job.address).includes(name)) continue;
      seen.add(id);
      yield job;
    }
  }
}

async function newestRecord(
  store: ObjectStore,
  address: JobAddress,
  hooks: ReadingHooks,
): Promise<StoredRecord | null> {
  const stem = recordKey(address, 1).slice(0, -'json'.length);
  for await (const entry of newestRevisions(store.list(stem))) {
    const read = await readRecord(store, entry);
    if (read.ok) return read.stored;
    hooks.onProblem(entry.key, read.problem);
  }
  return null;
}

/** What has no record any more is meant only where no filter could exclude it. */
async function filterOf(
  store: ObjectStore,
  filters: RecordFilters,
): Promise<(stored: StoredRecord | null) => Promise<boolean>> {
  if (Object.keys(filters).length === 0) return async () => true;
  const passes = openRecordFilter(store, filters);
  const places = await findPlaces(store, filters);
  return async (stored) =>
    stored !== null &&
    (await passes(stored.record)) &&
    places.some(({ prefix, holds }) => stored.key.startsWith(prefix) && holds(stored.record));
}
