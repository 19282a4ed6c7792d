import { commitCustody } from '../../archive/custody/custody.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { openRecording } from '../../service/recording.ts';
import type { Summary } from '../../ledger/verify/summary.ts';
import { LEVELS } from '../../ledger/verify/scope.ts';
import { noteVerification } from '../../queue/noted/last-verification.ts';
import { clearSealFindings } from '../../queue/noted/seal-findings.ts';
import { givenOptions } from './custody-work.ts';
import { openCommandQueue } from '../queue-work.ts';
import type { VerifyCommandOptions } from './verify-options.ts';

/**
 * Writes down in the archive that it was verified, by whom, how, and what came of it; answers the key. The queue is needed
 * to tell the sealer of it, and keeps a note for metrics. `startedAt`: when it began to look.
 */
export async function recordVerification(
  store: ObjectStore,
  options: VerifyCommandOptions,
  summary: Summary,
  startedAt: Date,
): Promise<string> {
  const queue = await openCommandQueue();
  try {
    const deps = openRecording(store, queue.control);
    const { result, findings, last_sequence, anchored_sequence, key_pinned, level, objects } = summary;
    const { key } = await commitCustody(
      deps.store,
      {
        action: 'verify',
        who: deps.who,
        reason: null,
        case: null,
        scope: givenOptions(options),
        objects: [],
        result: { result, findings, last_sequence, anchored_sequence, key_pinned, level, objects },
        archiver: { name: 'everlog', version: deps.version },
      },
      deps,
    );
    const { notes } = queue.control;
    const { from, to, job, run, repo } = options;
    const isWhole = [from, to, job, run, repo].every((part) => part === undefined);
    const depth = LEVELS.indexOf(level);
    await noteVerification(notes, { at: deps.now(), findings, isWhole, depth });
    if (findings === 0 && isWhole && depth >= LEVELS.indexOf('heads'))
      await clearSealFindings(notes, startedAt);
    return key;
  } finally {
    await queue.close();
  }
}
