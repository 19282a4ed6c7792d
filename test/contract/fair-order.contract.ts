import { beforeAll, afterAll, describe, expect, test } from 'vitest';
import { TAGS_MAX, URGENCIES, type FairOrder, type Urgency } from '../../src/queue/fair-order.ts';

/** An order, and what its queue would do to it. */
export interface OrderUnderTest {
  readonly order: FairOrder;
  /** Puts an admitted job among those that wait. */
  queue(id: string, urgency: Urgency, tag: number): Promise<void>;
  /** Takes a job from those that wait, to be worked on. */
  take(id: string, urgency: Urgency, tag: number): Promise<void>;
  /** Takes everything that waits away, and has the order notice. */
  empty(): Promise<void>;
  close(): Promise<void>;
}

const PLACE_TIMEOUT_MS = 60_000;
const FLOWS = ['github.com/1', 'github.com/2', 'github.com/octo/repo', 'ghes.example/1'];

/** Small, fast and the same on every run (Marsaglia's xorshift). */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** The order written down once more, as plainly as it can be said. */
function openExpectation(): {
  tag: (urgency: Urgency, flow: string) => number;
  started: (urgency: Urgency, tag: number) => void;
  reset: () => void;
} {
  let known: { urgency: Urgency; flow: string | null; tag: number }[] = [];
  const highest = (urgency: Urgency, flow: string | null): number =>
    Math.max(0, ...known.filter((one) => one.urgency === urgency && one.flow === flow).map(({ tag }) => tag));
  return {
    tag(urgency, flow) {
      const tag = Math.max(highest(urgency, null), highest(urgency, flow)) + 1;
      known.push({ urgency, flow, tag });
      return tag;
    },
    started: (urgency, tag) => void known.push({ urgency, flow: null, tag }),
    reset: () => {
      known = [];
    },
  };
}

/** What every order of a queue's jobs must do. */
export function fairOrderContract(name: string, open: () => Promise<OrderUnderTest>): void {
  describe(`an order: ${name}`, () => {
    let under: OrderUnderTest;
    let lastId = 0;

    beforeAll(async () => {
      under = await open();
    }, PLACE_TIMEOUT_MS);

    afterAll(() => under.close());

    async function add(urgency: Urgency, flow: string): Promise<{ id: string; tag: number }> {
      lastId += 1;
      const id = `job-${lastId}`;
      const tag = await under.order.admit(id, urgency, flow);
      if (tag === null) throw new Error(`${id} is taken`);
      await under.queue(id, urgency, tag);
      return { id, tag };
    }

    test('a flow keeps its order, and one that begins late starts at the front', async () => {
      const backlog = [];
      for (let index = 0; index < 5; index += 1) backlog.push(await add('live', 'github.com/1'));
      expect(backlog.map(({ tag }) => tag)).toEqual([1, 2, 3, 4, 5]);
      expect((await add('live', 'github.com/2')).tag).toBe(1);
      const [first] = backlog;
      await under.take(first?.id ?? '', 'live', 3);
      expect((await add('live', 'github.com/3')).tag).toBe(4);
      expect((await add('live', 'github.com/1')).tag).toBe(6);
      expect((await add('sweep', 'github.com/1')).tag).toBe(1);
    });

    test('an id that the queue holds gets no second place', async () => {
      const { id } = await add('live', 'github.com/1');
      expect(await under.order.admit(id, 'live', 'github.com/1')).toBeNull();
      expect(await under.order.admit(id, 'backfill', 'github.com/2')).toBeNull();
    });

    test('when nothing waits tags begin anew', async () => {
      await under.take('', 'live', 100);
      expect((await add('live', 'github.com/2')).tag).toBe(101);
      await under.empty();
      expect((await add('live', 'github.com/2')).tag).toBe(1);
      expect((await add('live', 'github.com/1')).tag).toBe(1);
    });

    test('tags that have run out stay at the last', async () => {
      await under.take('', 'backfill', TAGS_MAX - 1);
      expect((await add('backfill', 'github.com/2')).tag).toBe(TAGS_MAX);
      expect((await add('backfill', 'github.com/2')).tag).toBe(TAGS_MAX);
      expect((await add('live', 'github.com/2')).tag).toBeLessThan(TAGS_MAX);
    });

    for (const seed of [1, 20_201_120, 987_654_321]) {
      test(`any sequence of adds and starts gives the tags of the rule (seed ${seed})`, async () => {
        const random = seededRandom(seed);
        const pick = <T>(items: readonly T[]): T => {
          const item = items[Math.floor(random() * items.length)];
          if (item === undefined) throw new Error('nothing to pick from');
          return item;
        };
        await under.empty();
        const expected = openExpectation();
        const tags: { got: number; wanted: number }[] = [];
        const waiting: { id: string; urgency: Urgency; tag: number }[] = [];
        for (let step = 0; step < 400; step += 1) {
          if (waiting.length === 0 || random() < 0.6) {
            const [urgency, flow] = [pick(URGENCIES), pick(FLOWS)];
            // The queue begins anew on its own when it has run empty.
            if (waiting.length === 0) {
              await under.empty();
              expected.reset();
            }
            const { id, tag } = await add(urgency, flow);
            tags.push({ got: tag, wanted: expected.tag(urgency, flow) });
            waiting.push({ id, urgency, tag });
          } else {
            waiting.sort((one, other) => one.tag - other.tag);
            const next = waiting.splice(random() < 0.8 ? 0 : Math.floor(random() * waiting.length), 1)[0];
            if (next === undefined) throw new Error('nothing waits');
            await under.take(next.id, next.urgency, next.tag);
            expected.started(next.urgency, next.tag);
          }
        }
        expect(tags.map(({ got }) => got)).toEqual(tags.map(({ wanted }) => wanted));
      });
    }
  });
}
