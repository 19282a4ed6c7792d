import { messageOf } from '../../errors.ts';
import type { Log } from '../../logger.ts';
import type { OnFindings } from './append-digest.ts';
import type { SealNotes } from '../ports.ts';
import { FINDING_KINDS, FINDINGS_REPORTED_MAX, type SealFinding } from '../seal-report.ts';

/**
 * Findings that no seal has told yet, kept with the queue. What is sealed or marked is not looked at again, so that a seal that
 * ends between that and its report would take what it found with it: the next one that succeeds tells it.
 */
export interface UntoldFindings {
  /**
   * Keeps what was found, before anything moves on that would hide it; answers what this seal had not found before. `where` is
   * as in `OnFindings`.
   */
  remember(where: string, findings: readonly SealFinding[]): Promise<readonly SealFinding[]>;
  /** What earlier seals found and this one did not find again. */
  earlier(): readonly SealFinding[];
  /** Forgets them all, as this seal tells them; where the queue fails to, they are told twice. */
  told(log: Log): Promise<void>;
}

const TABLE = 'ledger-untold';

/** Reads what earlier seals could not tell. `onFindings` counts what is found until a verification has looked at it. */
export async function openUntoldFindings(notes: SealNotes, onFindings: OnFindings): Promise<UntoldFindings> {
  const kept = new Map<string, SealFinding>();
  for (const [field, detail] of Object.entries(await notes.fields(TABLE))) {
    const finding = findingOf(field, detail);
    if (finding !== null) kept.set(field, finding);
  }
  const known = new Set(kept.keys());
  const ours = new Set<string>();
  return {
    async remember(where, findings) {
      await onFindings(where, findings.length);
      const first: SealFinding[] = [];
      for (const finding of findings) {
        const field = findingField(finding);
        if (ours.has(field)) continue;
        const hasRoom = known.has(field) || known.size < FINDINGS_REPORTED_MAX;
        // No number of others may hide that the ledger itself was cut.
        if (!hasRoom && finding.kind !== 'ledger_cut') continue;
        await notes.setField(TABLE, field, finding.detail);
        known.add(field);
        ours.add(field);
        first.push(finding);
      }
      return first;
    },
    earlier: () =>
      [...kept]
        .filter(([field]) => !ours.has(field))
        .map(([, { kind, key, detail }]) => ({
          kind,
          key,
          detail: `found by an earlier seal, which did not come to its end: ${detail}`,
        })),
    async told(log) {
      try {
        for (const field of known) await notes.setField(TABLE, field, null);
      } catch (error) {
        log.warn({ problem: messageOf(error) }, 'the next seal tells what this one found once more');
      }
    },
  };
}

function findingField({ kind, key }: SealFinding): string {
  return `${kind} ${key}`;
}

/** Null for what a later version found, which will tell it. */
function findingOf(field: string, detail: string): SealFinding | null {
  const kind = FINDING_KINDS.find((one) => field.startsWith(`${one} `));
  return kind === undefined ? null : { kind, key: field.slice(kind.length + 1), detail };
}
