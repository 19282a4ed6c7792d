import type { ObjectStore } from '../../store/object-store.ts';
import type { RecordRepository } from '../record.ts';
import { findPlaces } from '../find/scan-records.ts';

/** How long jobs of a place are kept. A rule without a place is for all others. */
export interface ExpiryRule {
  readonly host: string | null;
  /** Lower case or not. */
  readonly owner: string | null;
  readonly repo: string | null;
  /** In milliseconds since the job's end; null: for ever. */
  readonly keepMs: number | null;
}

/** Finds the rule for a job: of those that fit, the one with a repository, else an owner, else a host; null where none fits. */
export type RuleFor = (place: RecordRepository) => ExpiryRule | null;

/**
 * Prepares rules for use. A rule for a repository holds under all names that the repository has borne, as filters do.
 * Of two that are equally close, the one that keeps longer holds.
 */
export async function prepareRules(store: ObjectStore, rules: readonly ExpiryRule[]): Promise<RuleFor> {
  const prepared = await Promise.all(
    rules.map(async (rule) => ({ rule, weight: weightOf(rule), fits: await fitting(store, rule) })),
  );
  prepared.sort((a, b) => b.weight - a.weight || keptMs(b.rule) - keptMs(a.rule));
  return (place) => prepared.find(({ fits }) => fits(place))?.rule ?? null;
}

function weightOf({ host, owner, repo }: ExpiryRule): number {
  return (repo === null ? 0 : 4) + (owner === null ? 0 : 2) + (host === null ? 0 : 1);
}

function keptMs({ keepMs }: ExpiryRule): number {
  return keepMs ?? Number.MAX_VALUE;
}

async function fitting(store: ObjectStore, rule: ExpiryRule): Promise<(place: RecordRepository) => boolean> {
  const host = rule.host?.toLowerCase() ?? null;
  const owner = rule.owner?.toLowerCase() ?? null;
  const isHost = (place: RecordRepository): boolean => host === null || place.host === host;
  if (rule.repo === null || owner === null) {
    return (place) => isHost(place) && (owner === null || place.owner.toLowerCase() === owner);
  }
  const repo = rule.repo.toLowerCase();
  const others = await findPlaces(store, { repo: { owner, repo } });
  return (place) => {
    if (!isHost(place)) return false;
    if (place.owner.toLowerCase() === owner && place.repo.toLowerCase() === repo) return true;
    const folder = `host=${place.host}/owner=${place.owner.toLowerCase()}/repo=${place.repo.toLowerCase()}/`;
    return others.some(({ prefix, holds }) => prefix.endsWith(folder) && holds(place));
  };
}
