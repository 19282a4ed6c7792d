import type { Locked } from '../../archive/custody/removal.ts';
import { formatMoment } from '../terminal/format.ts';
import { inertText } from '../../log/terminal-sanitiser.ts';

/** How commands tell what a lock kept from being removed. */

/** A locked version for machines. */
export function lockedDocument({ key, version_id, lock }: Locked): object {
  return {
    key,
    version_id,
    mode: lock?.mode ?? null,
    retain_until: lock?.retainUntil?.toISOString() ?? null,
    legal_hold: lock?.legalHold ?? false,
  };
}

/** A locked version for people: until when, by what, and what would help. */
export function lockedLine({ key, lock }: Locked): string {
  const reasons: string[] = [];
  if (lock?.legalHold === true) reasons.push('a legal hold, until it is released');
  if (lock !== null && lock.mode !== null && lock.retainUntil !== null) {
    const cure = lock.mode === 'GOVERNANCE' ? ' (--bypass-governance, with the right to it)' : '';
    reasons.push(`${lock.mode} until ${formatMoment(lock.retainUntil.toISOString())} UTC${cure}`);
  }
  return `locked ${inertText(key)}: ${reasons.length > 0 ? reasons.join(' and ') : 'the store says no'}`;
}

/** Whether the evidence of a removal is sealed already. */
export function sealedByText(sequence: number | null): string {
  return sequence === null
    ? 'not sealed yet: the sealer does it at its next interval, or `everlog seal` where the key is\n'
    : `sealed by digest ${sequence}\n`;
}
