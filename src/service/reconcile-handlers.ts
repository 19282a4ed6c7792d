import { reconcileHosts, type PassNotes } from '../../workers/handlers/reconcile-hosts.ts';
import {
  reconcileRepository,
  type ReconcileRepositoryDeps,
} from '../../workers/handlers/reconcile-repository.ts';
import type { Handlers } from '../../workers/run-workers.ts';
import { queueIdOf, type NewJob } from '../queue/catalog.ts';
import { comparedField, noteComparedRepository, readCompared } from '../reconcile/compared-note.ts';
import { closeGap } from '../queue/gap-note.ts';
import type { KeyValueNotes } from '../queue/key-value-notes.ts';
import {
  beginPass,
  forgetOtherHosts,
  MISSING_NAMED_MAX,
  noteCompared,
  noteGaps,
  noteMissing,
  noteReconciled,
  readReconciled,
} from '../reconcile/reconcile-note.ts';

/** The handlers that compare GitHub with the archive, with what is noted of their findings for digests and metrics. */
export function reconcileHandlers(
  deps: Omit<ReconcileRepositoryDeps, 'onReconciled' | 'onMissing'>,
  notes: KeyValueNotes,
): Pick<Handlers, 'reconcile-hosts' | 'reconcile-repository'> {
  return {
    'reconcile-hosts': async () => {
      const startedAt = deps.now();
      const pass = await beginPass(notes, startedAt);
      const enqueue = async (job: NewJob): Promise<'queued' | 'duplicate'> => {
        if (job.name === 'reconcile-repository') await pass.queued(job.data.host, queueIdOf(job));
        return deps.enqueue(job);
      };
      const [compared, { lastAt }] = await Promise.all([
        readCompared(notes),
        readReconciled(notes, startedAt),
      ]);
      const note: PassNotes['note'] = (field, known) => noteComparedRepository(notes, field, known);
      await reconcileHosts({ ...deps, enqueue }, { lastAt, compared, note });
      const hosts = new Set(deps.reconcileHosts.keys());
      for (const host of hosts) await noteReconciled(notes, host, startedAt);
      await forgetOtherHosts(notes, hosts);
    },
    'reconcile-repository': async (data, context) => {
      const missing = { jobs: 0, named: 0 };
      const { at, runAt } = await reconcileRepository(
        {
          ...deps,
          onReconciled: (counts) => void (missing.jobs = counts.missing + counts.unreadable),
          onMissing: async (job, completedAt) => {
            if (missing.named >= MISSING_NAMED_MAX) return;
            missing.named += 1;
            await noteMissing(notes, job, completedAt);
          },
        },
        data,
        context,
      );
      await noteComparedRepository(notes, comparedField(data.host, data.repository_id), {
        at: at.toISOString(),
        run_at: runAt?.toISOString() ?? null,
        installation_id: data.installation_id,
        suspended: false,
      });
      await noteGaps(notes, data, missing, deps.now());
      await noteCompared(notes, context.id);
      await closeGap(notes, context.id);
    },
  };
}
