import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { KeyValueNotes } from '../../src/queue/key-value-notes.ts';
import {
  beginPass,
  forgetOtherHosts,
  noteCompared,
  noteGaps,
  noteReconciled,
  readCountedGaps,
  readHostsReconciledThrough,
  readReconciled,
  readReconciledThrough,
  type ReconciledPlace,
} from '../../src/reconcile/reconcile-note.ts';
import { comparedField, noteComparedRepository } from '../../src/reconcile/compared-note.ts';
import { noteReceiverSettings, receiverChangedAt } from '../../src/redelivery/receiver-note.ts';
import { until } from '../support/harness/everlog-under-test.ts';
import type { QueuePlace } from '../support/harness/queue-under-test.ts';
import type { QueueStorage } from '../../src/queue/queue-storage.ts';

const HOUR_MS = 3_600_000;
const REACHED_WITHIN_MS = 15_000;

/** What everything that remembers for schedules and commands must do. */
export function notesContract(name: string, place: () => Promise<QueuePlace>): void {
  describe(`notes: ${name}`, () => {
    let where: QueuePlace;
    let storage: QueueStorage;
    let notes: KeyValueNotes;

    async function open(): Promise<void> {
      storage = await where.open();
      notes = storage.notes;
      const answers = (): Promise<boolean> =>
        notes.noted(['any']).then(
          () => true,
          () => false,
        );
      await until('notes are answered', answers, REACHED_WITHIN_MS);
    }

    beforeAll(async () => {
      where = await place();
      await open();
    });

    afterAll(async () => {
      await storage.close();
      await where.remove();
    });

    test('are found under their names, in the order asked, the last text of each', async () => {
      await notes.note('a', 'one', HOUR_MS);
      await notes.note('b', 'two', HOUR_MS);
      await notes.note('a', '{"three":"ünïcode"}', HOUR_MS);
      expect(await notes.noted(['b', 'none', 'a'])).toEqual(['two', null, '{"three":"ünïcode"}']);
      expect(await notes.noted([])).toEqual([]);
    });

    test('thousands are found at once', async () => {
      const names = Array.from({ length: 2_500 }, (_, index) => `many/${index}`);
      await notes.note('many/2400', 'here', HOUR_MS);
      const found = await notes.noted(names);
      expect(found).toHaveLength(2_500);
      expect(found.filter((text) => text !== null)).toEqual(['here']);
      expect(found[2_400]).toBe('here');
    });

    test('are forgotten when their time is over', async () => {
      await notes.note('brief', 'gone soon', 1);
      await until(
        'the note is gone',
        async () => (await notes.noted(['brief']))[0] === null,
        REACHED_WITHIN_MS,
      );
    });

    test('outlive the process', async () => {
      await notes.note('kept', 'still here', HOUR_MS);
      await notes.setField('table', 'kept', 'this too');
      await storage.close();
      await open();
      expect(await notes.noted(['kept'])).toEqual(['still here']);
      expect(await notes.fields('table')).toEqual({ kept: 'this too' });
    });

    test('a claim has one holder, who may take it again, until it is given back or its time is over', async () => {
      expect(await notes.claim('work', 'one', HOUR_MS)).toBe(true);
      expect(await notes.claim('work', 'other', HOUR_MS)).toBe(false);
      expect(await notes.claim('work', 'one', HOUR_MS)).toBe(true);
      await notes.release('work', 'other');
      expect(await notes.claim('work', 'other', HOUR_MS)).toBe(false);
      await notes.release('work', 'one');
      expect(await notes.claim('work', 'other', 1)).toBe(true);
      await until('the claim is free', () => notes.claim('work', 'one', HOUR_MS), REACHED_WITHIN_MS);
      const racers = await Promise.all(['a', 'b', 'c'].map((holder) => notes.claim('race', holder, HOUR_MS)));
      expect(racers.filter(Boolean)).toHaveLength(1);
    });

    test('a receiver’s settings: the first, the same, others, and the first again', async () => {
      const at = (minute: number): Date => new Date(Date.UTC(2026, 10, 20, 10, minute));
      expect(await receiverChangedAt(notes, 'github.com')).toBeNull();
      expect(await noteReceiverSettings(notes, 'github.com', ['secret-1'], at(1))).toBe('first');
      expect(await noteReceiverSettings(notes, 'github.com', ['secret-1'], at(2))).toBe('same');
      expect(await receiverChangedAt(notes, 'github.com')).toEqual(at(1));
      expect(await noteReceiverSettings(notes, 'github.com', ['secret-1', 'secret-2'], at(3))).toBe(
        'changed',
      );
      expect(await receiverChangedAt(notes, 'github.com')).toEqual(at(3));
      expect(await noteReceiverSettings(notes, 'github.com', ['secret-1'], at(4))).toBe('changed');
      expect(await receiverChangedAt(notes, 'sub.ghe.com')).toBeNull();
      const [text] = await notes.noted(['receiver/github.com']);
      expect(text).not.toContain('secret');
    });

    test('gaps are summed over repositories, and believed for three days', async () => {
      const now = new Date('2026-11-20T10:00:00.000Z');
      const days = (count: number): Date => new Date(now.getTime() + count * 24 * HOUR_MS);
      const place = (host: string, repository_id: number): ReconciledPlace => {
        return { host, owner: 'octo-org', repo: `repo-${repository_id}`, repository_id };
      };
      const missing = (jobs: number, named = 0): { jobs: number; named: number } => ({ jobs, named });
      expect(await readReconciled(notes, now)).toEqual({ lastAt: new Map(), gapJobs: 0 });
      await noteReconciled(notes, 'github.com', now);
      await noteGaps(notes, place('github.com', 1), missing(3, 1), now);
      await noteGaps(notes, place('github.com', 2), missing(4, 4), days(2));
      await noteGaps(notes, place('sub.ghe.com', 2), missing(5), days(2));
      await noteGaps(notes, place('sub.ghe.com', 3), missing(0), days(2));
      expect(await readReconciled(notes, days(3))).toEqual({
        lastAt: new Map([['github.com', now]]),
        gapJobs: 12,
      });
      const counted = await readCountedGaps(notes, days(3));
      expect(counted.map(({ host, repo, jobs }) => `${host} ${repo} ${jobs}`).toSorted()).toEqual([
        'github.com repo-1 2',
        'sub.ghe.com repo-2 5',
      ]);
      expect((await readReconciled(notes, days(4))).gapJobs).toBe(9);
      await noteGaps(notes, place('sub.ghe.com', 2), missing(0), days(4));
      expect((await readReconciled(notes, days(4))).gapJobs).toBe(4);
    });

    test('everything was compared until the last pass began whose comparisons have ended, on every host', async () => {
      const hour = (count: number): Date => new Date(Date.UTC(2026, 10, 22, count));
      const through = (now: Date): Promise<Date | null> => readReconciledThrough(notes, now);
      await forgetOtherHosts(notes, new Set());
      expect(await through(hour(0))).toBeNull();
      const first = await beginPass(notes, hour(1));
      await first.queued('github.com', 'reconcile-1');
      await first.queued('github.com', 'reconcile-2');
      await noteReconciled(notes, 'github.com', hour(1));
      expect(await through(hour(1))).toBeNull();
      await noteCompared(notes, 'reconcile-1');
      await noteCompared(notes, 'reconcile-2');
      expect(await through(hour(1))).toEqual(hour(1));
      const second = await beginPass(notes, hour(2));
      await second.queued('github.com', 'reconcile-1');
      await noteReconciled(notes, 'github.com', hour(2));
      // Still under way: it is not queued again, and stays the second pass's.
      const third = await beginPass(notes, hour(3));
      await third.queued('github.com', 'reconcile-1');
      await noteReconciled(notes, 'github.com', hour(3));
      expect(await through(hour(3))).toEqual(hour(1));
      await noteReconciled(notes, 'sub.ghe.com', hour(0));
      expect(await through(hour(3))).toEqual(hour(0));
      const ofHosts = async (): Promise<object> =>
        Object.fromEntries(await readHostsReconciledThrough(notes, hour(3)));
      expect(await ofHosts()).toEqual({ 'github.com': hour(1), 'sub.ghe.com': hour(0) });
      // A repository that no pass has looked into yet holds back its own host and no other.
      const never = { at: null, run_at: null, installation_id: 1, suspended: false };
      await noteComparedRepository(notes, comparedField('sub.ghe.com', 7), never);
      expect(await ofHosts()).toEqual({ 'github.com': hour(1) });
      await noteComparedRepository(notes, comparedField('sub.ghe.com', 7), null);
      await forgetOtherHosts(notes, new Set(['github.com']));
      await noteCompared(notes, 'reconcile-1');
      expect(await through(hour(3))).toEqual(hour(3));
      // A comparison that nobody has heard of for days is of a repository that is gone.
      await (await beginPass(notes, hour(4))).queued('github.com', 'reconcile-3');
      await noteReconciled(notes, 'github.com', hour(4));
      expect(await through(hour(5))).toEqual(hour(3));
      expect(await through(hour(4 + 80))).toEqual(hour(4));
    });
  });
}
