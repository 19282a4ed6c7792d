import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openJobQueue, type JobQueue } from '../../src/queue/job-queue.ts';
import { until } from '../support/harness/everlog-under-test.ts';
import type { QueuePlace } from '../support/harness/queue-under-test.ts';

const REACHED_WITHIN_MS = 15_000;
const LATER_MS = 3_600_000;
/** Small enough to be passed in a test. */
const MOST = 3_000;

/** What every set of commits that wait for their digest must do. */
export function pendingCommitsContract(name: string, place: () => Promise<QueuePlace>): void {
  describe(`pending commits: ${name}`, () => {
    let where: QueuePlace;
    let queue: JobQueue;

    async function open(): Promise<void> {
      queue = openJobQueue(await where.open(MOST));
      const answers = (): Promise<boolean> =>
        queue.ping().then(
          () => true,
          () => false,
        );
      await until('the queue answers', answers, REACHED_WITHIN_MS);
    }

    async function everything(pageKeys: number): Promise<string[]> {
      const found: string[] = [];
      for (;;) {
        const page = await queue.pending.page(found.at(-1) ?? null, pageKeys);
        found.push(...page);
        if (page.length < pageKeys) return found;
      }
    }

    beforeAll(async () => {
      where = await place();
      await open();
    });

    afterAll(async () => {
      await queue.close();
      await where.remove();
    });

    test('come in pages in the order of their UTF-8 bytes, each once, however often it was added', async () => {
      // In UTF-16 the last would come before the one before it; by the rules of a language, case and signs are passed over.
      const ascending = ['A', 'B/2', 'Z', '[', 'a', 'a.', 'a/', 'b', 'é', '日', '\uffee', '😀'];
      await queue.pending.add(ascending.toReversed());
      await queue.pending.add(['a', 'b']);
      expect(await everything(5)).toEqual(ascending);
      expect(await queue.pending.page('a.', 2)).toEqual(['a/', 'b']);
      expect(await queue.pending.page('a.!', 1)).toEqual(['a/']);
      expect(await queue.pending.page('😀', 5)).toEqual([]);
      expect(await queue.pending.count()).toBe(ascending.length);
      await queue.pending.remove(['a', 'not there', '😀']);
      expect(await queue.pending.count()).toBe(ascending.length - 2);
      await queue.pending.remove(ascending);
      await queue.pending.remove([]);
      await queue.pending.add([]);
      expect(await queue.pending.page(null, 10)).toEqual([]);
    });

    test('thousands are added, paged and removed at once', async () => {
      const keys = Array.from({ length: 2_500 }, (_, index) => `v1/${String(index).padStart(5, '0')}`);
      await queue.pending.add(keys);
      expect(await everything(1_000)).toEqual(keys);
      await queue.pending.remove(keys);
      expect(await queue.pending.count()).toBe(0);
    });

    test('what was announced is not pending until it is added, and is told of only while nobody has settled it', async () => {
      const later = new Date(Date.now() + LATER_MS);
      const { pending } = queue;
      await pending.announce(['one', 'two', 'three']);
      expect(await pending.page(null, 10)).toEqual([]);
      expect(await pending.announcedBefore(new Date(Date.now() - LATER_MS), 10)).toEqual([]);
      expect((await pending.announcedBefore(later, 10)).toSorted()).toEqual(['one', 'three', 'two']);
      expect(await pending.announcedBefore(later, 2)).toHaveLength(2);
      await pending.add(['one']);
      await pending.remove(['two']);
      expect(await pending.announcedBefore(later, 10)).toEqual(['three']);
      expect(await pending.page(null, 10)).toEqual(['one']);
      await pending.remove(['one', 'three']);
    });

    test('the mark is unknown, then the last one set, and outlives the process with the keys', async () => {
      expect(await queue.pending.mark()).toBeNull();
      await queue.pending.setMark(0);
      expect(await queue.pending.mark()).toBe(0);
      await queue.pending.setMark(17);
      await queue.pending.add(['kept']);
      await queue.pending.announce(['announced']);
      await queue.close();
      await open();
      expect(await queue.pending.mark()).toBe(17);
      expect(await queue.pending.page(null, 10)).toEqual(['kept']);
      const later = new Date(Date.now() + LATER_MS);
      expect(await queue.pending.announcedBefore(later, 10)).toEqual(['announced']);
      await queue.pending.remove(['kept', 'announced']);
    });

    test.each(['add', 'announce'] as const)('too many (%s) are dropped with the mark', async (way) => {
      const keys = Array.from({ length: MOST }, (_, index) => `full/${index}`);
      await queue.pending.setMark(18);
      for (let from = 0; from < MOST; from += 1_000) await queue.pending[way](keys.slice(from, from + 1_000));
      expect(await queue.pending.mark()).toBe(18);
      await queue.pending[way](Array.from({ length: 1_000 }, (_, index) => `over/${index}`));
      expect(await queue.pending.mark()).toBeNull();
      expect(await queue.pending.count()).toBe(0);
      await queue.pending.add(['after']);
      expect(await queue.pending.page(null, 10)).toEqual(['after']);
      await queue.pending.remove(['after']);
    });
  });
}
