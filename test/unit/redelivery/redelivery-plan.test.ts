import { describe, expect, test } from 'vitest';
import { parseDeliveries, walkBack, type HookDelivery } from '../../../src/github/deliveries.ts';
import {
  planRedeliveries,
  type Ask,
  type KnownOfDeliveries,
  type RedeliveryPlan,
} from '../../../src/redelivery/redelivery-plan.ts';

const NOW = new Date('2026-11-20T12:00:00.000Z');
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const WINDOW_MS = 72 * HOUR_MS;

let lastId = 3_804_004_623_172_239_366n;

function delivery(minutesAgo: number, about: Partial<HookDelivery> = {}): HookDelivery {
  lastId += 1n;
  const status_code = about.status_code ?? 503;
  return {
    id: String(lastId),
    guid: 'guid-1',
    delivered_at: new Date(NOW.getTime() - minutesAgo * MINUTE_MS).toISOString(),
    redelivery: false,
    status: status_code === 202 ? 'OK' : `Invalid HTTP Response: ${status_code}`,
    status_code,
    event: 'workflow_job',
    action: 'completed',
    ...about,
  };
}

function again(minutesAgo: number, about: Partial<HookDelivery> = {}): HookDelivery {
  return delivery(minutesAgo, { redelivery: true, ...about });
}

function plan(deliveries: readonly HookDelivery[], known: Partial<KnownOfDeliveries> = {}): RedeliveryPlan {
  return planRedeliveries(
    deliveries,
    { asked: new Map(), receiverChangedAt: null, windowMs: WINDOW_MS, paced: false, ...known },
    NOW,
  );
}

/** Where the one delivery of a plan ended; `nothing` where it is nobody's business. */
function verdict(deliveries: readonly HookDelivery[], known: Partial<KnownOfDeliveries> = {}): string {
  const made = plan(deliveries, known);
  const lists = { ...made, unresolved: [] };
  const found = Object.entries(lists).find(([, list]) => list.length > 0);
  return found?.[0] ?? 'nothing';
}

function asked(minutesAgo: number, afterId: string, count = 1): ReadonlyMap<string, Ask> {
  return new Map([['guid-1', { count, afterId, at: new Date(NOW.getTime() - minutesAgo * MINUTE_MS) }]]);
}

describe('which events matter', () => {
  test.each([
    ['workflow_job', 'completed', 'redeliver'],
    ['workflow_job', 'queued', 'nothing'],
    ['workflow_job', 'in_progress', 'nothing'],
    ['workflow_job', null, 'nothing'],
    ['workflow_run', 'requested', 'redeliver'],
    ['workflow_run', 'completed', 'redeliver'],
    ['workflow_run', 'in_progress', 'nothing'],
    ['installation', 'deleted', 'redeliver'],
    ['installation', 'unsuspend', 'redeliver'],
    ['push', null, 'nothing'],
    ['ping', null, 'nothing'],
  ])('%s %s: %s', (event, action, expected) => {
    expect(verdict([delivery(5, { event, action })])).toBe(expected);
  });
});

describe('which answers are worth another attempt', () => {
  test.each([
    [400, 'final'],
    [413, 'final'],
    [0, 'redeliver'],
    [401, 'redeliver'],
    [403, 'redeliver'],
    [404, 'redeliver'],
    [408, 'redeliver'],
    [415, 'redeliver'],
    [500, 'redeliver'],
    [502, 'redeliver'],
    [503, 'redeliver'],
    [504, 'redeliver'],
    [202, 'nothing'],
  ])('%i: %s', (status_code, expected) => {
    expect(verdict([delivery(5, { status_code })])).toBe(expected);
  });

  test('the newest attempt decides what is final', () => {
    expect(verdict([delivery(50, { status_code: 503 }), again(5, { status_code: 413 })])).toBe('final');
    expect(verdict([delivery(50, { status_code: 413 }), again(5, { status_code: 503 })])).toBe('redeliver');
  });

  test('by the word OK and not by the code: GitHub calls some 2xx otherwise', () => {
    expect(verdict([delivery(5, { status: 'timed out', status_code: 200 })])).toBe('redeliver');
  });
});

describe('attempts of one delivery', () => {
  test('one that was accepted, first or last, settles it', () => {
    expect(verdict([delivery(50), again(5, { status_code: 202 })])).toBe('nothing');
    expect(verdict([delivery(50, { status_code: 202 }), again(5)])).toBe('nothing');
  });

  test('the newest failed one is asked for, whatever the order of the list, and each once', () => {
    const [first, second] = [delivery(50), again(5)];
    const made = plan([second, first, second]);
    expect(made.redeliver).toMatchObject([{ deliveryId: second.id, attempts: 2, tries: 1 }]);
    expect(made.unresolved).toEqual([first, second]);
  });

  test('of two in the same moment the larger id is the newest, beyond what a number can hold', () => {
    const [first, second] = [
      delivery(5, { id: '9007199254740993' }),
      delivery(5, { id: '9007199254740992' }),
    ];
    expect(plan([first, second]).redeliver[0]?.deliveryId).toBe('9007199254740993');
    const [longer, shorter] = [
      delivery(5, { id: '10000000000000000' }),
      delivery(5, { id: '9999999999999999' }),
    ];
    expect(plan([longer, shorter]).redeliver[0]?.deliveryId).toBe('10000000000000000');
  });

  test('three redeliveries are enough', () => {
    expect(verdict([delivery(90), again(60), again(30)])).toBe('redeliver');
    expect(verdict([delivery(90), again(60), again(30), again(5)])).toBe('exhausted');
  });

  test('what Everlog asked for counts also where GitHub does not list it', () => {
    const first = delivery(90);
    expect(verdict([first], { asked: asked(60, 'older', 2) })).toBe('redeliver');
    expect(verdict([first], { asked: asked(60, 'older', 3) })).toBe('exhausted');
  });

  test('new settings of the receiver make earlier tries count no more', () => {
    const tries = [delivery(90), again(60), again(30), again(20)];
    const at = (minutes: number): Date => new Date(NOW.getTime() - minutes * MINUTE_MS);
    expect(verdict(tries, { receiverChangedAt: at(10) })).toBe('redeliver');
    expect(verdict(tries, { receiverChangedAt: at(25) })).toBe('redeliver');
    expect(verdict(tries, { receiverChangedAt: at(80) })).toBe('exhausted');
    expect(verdict(tries, { receiverChangedAt: at(10), asked: asked(20, 'older', 3) })).toBe('redeliver');
    expect(verdict(tries, { receiverChangedAt: at(10), asked: asked(5, 'older', 3) })).toBe('exhausted');
    expect(verdict([delivery(90, { status_code: 413 })], { receiverChangedAt: at(10) })).toBe('final');
  });

  test('what was asked for a moment ago is waited for, and asked for again when GitHub forgot it', () => {
    const first = delivery(90);
    expect(verdict([first], { asked: asked(2, first.id) })).toBe('waiting');
    expect(verdict([first], { asked: asked(16, first.id) })).toBe('redeliver');
    expect(verdict([first, again(1)], { asked: asked(2, first.id) })).toBe('redeliver');
  });
});

test('older than GitHub keeps deliveries is nobody’s business; the newest attempt counts', () => {
  expect(verdict([delivery(72 * 60 + 1)])).toBe('nothing');
  expect(verdict([delivery(72 * 60 - 1)])).toBe('redeliver');
  expect(verdict([delivery(73 * 60), again(60)])).toBe('redeliver');
  expect(verdict([delivery(100 * 60)], { windowMs: 7 * 24 * HOUR_MS })).toBe('redeliver');
});

test('a schedule spreads its tries over hours; a person’s command does not', () => {
  const paced = { paced: true };
  expect(verdict([delivery(1)], paced)).toBe('redeliver');
  expect(verdict([delivery(70), again(59)], paced)).toBe('waiting');
  expect(verdict([delivery(70), again(59)])).toBe('redeliver');
  expect(verdict([delivery(90), again(61)], paced)).toBe('redeliver');
  const twice = [delivery(15 * 60), again(14 * 60), again(12 * 60 - 1)];
  expect(verdict(twice, paced)).toBe('waiting');
  const changed = new Date(NOW.getTime() - MINUTE_MS);
  expect(verdict(twice, { ...paced, receiverChangedAt: changed })).toBe('redeliver');
});

test('the oldest first, as it leaves the window first', () => {
  const made = plan([delivery(5, { guid: 'b' }), delivery(50, { guid: 'a' }), delivery(1, { guid: 'c' })]);
  expect(made.redeliver.map(({ guid }) => guid)).toEqual(['a', 'b', 'c']);
});

describe('the list as GitHub gives it', () => {
  const item =
    '{"id":3804004623172239366,"guid":"0b989ba4","delivered_at":"2026-11-20T10:11:12.345Z","redelivery":false,' +
    '"duration":0.3,"status":"a \\"id\\": 12 in words","status_code":0,"event":"workflow_job","action":null,' +
    '"installation_id":3804004623172239367,"repository_id":null,"throttled_at":null}';

  test('ids keep every digit, and text stays as it is', () => {
    const [parsed] = parseDeliveries(`[${item}]`, 'github.com');
    expect(parsed).toMatchObject({
      id: '3804004623172239366',
      status: 'a "id": 12 in words',
      status_code: 0,
    });
  });

  test.each(['{"message":"no"}', '[{"id":1}]', 'nothing'])('%s is no list', (text) => {
    expect(() => parseDeliveries(text, 'github.com')).toThrow(/github\.com: the list of deliveries/);
  });

  test('is walked back to the moment asked for, to the end, or to the page limit', async () => {
    const pages = [delivery(1), delivery(2, { event: 'push' }), delivery(3), delivery(4)];
    const asked: (string | null)[] = [];
    const log = {
      page: (cursor: string | null) => {
        asked.push(cursor);
        const index = Number(cursor ?? 0);
        const cursorOfNext = index + 1 < pages.length ? String(index + 1) : null;
        return Promise.resolve({ deliveries: pages.slice(index, index + 1), cursor: cursorOfNext });
      },
    };
    const isJob = ({ event }: HookDelivery): boolean => event === 'workflow_job';
    const far = new Date(0);
    expect(await walkBack(log, far, 10, isJob)).toEqual({
      deliveries: [pages[0], pages[2], pages[3]],
      newestAt: pages[0]?.delivered_at,
      reachedBackTo: pages[3]?.delivered_at,
      complete: true,
    });
    expect(asked).toEqual([null, '1', '2', '3']);
    const until = new Date(NOW.getTime() - 2.5 * MINUTE_MS);
    expect(await walkBack(log, until, 10, isJob)).toMatchObject({
      reachedBackTo: pages[2]?.delivered_at,
      complete: true,
    });
    expect(await walkBack(log, far, 2, isJob)).toMatchObject({
      reachedBackTo: pages[1]?.delivered_at,
      complete: false,
    });
  });
});
