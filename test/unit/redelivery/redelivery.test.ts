import { beforeEach, expect, test } from 'vitest';
import { retryable } from '../../../src/errors.ts';
import type { HookDelivery } from '../../../src/github/deliveries.ts';
import type { Log } from '../../../src/logger.ts';
import type { KeyValueNotes } from '../../../src/queue/key-value-notes.ts';
import { openLocalRateLimiter } from '../../../src/queue/rate-limiter.ts';
import {
  redeliverAlone,
  wasAskedFor,
  type RedeliveryDeps,
  type RedeliveryReport,
} from '../../../src/redelivery/redelivery.ts';

const HOST = 'github.example.com';
const MINUTE_MS = 60_000;
const PAGE_ITEMS = 100;

let nowMs = Date.parse('2026-11-20T12:00:00.000Z');
let lastId = 1_000n;
/** Newest first, as GitHub lists. */
let listed: HookDelivery[];
let pagesRead = 0;
let askedFor: string[];
let most = 0;
let refuse: (id: string) => boolean;
let notes: Pick<KeyValueNotes, 'note' | 'noted' | 'claim' | 'release'>;

beforeEach(() => {
  listed = [];
  askedFor = [];
  most = 0;
  refuse = () => false;
  notes = notesInMemory();
});

function notesInMemory(): typeof notes {
  const texts = new Map<string, { text: string; untilMs: number }>();
  const claims = new Map<string, string>();
  return {
    note: (name, text, keptMs) => Promise.resolve(void texts.set(name, { text, untilMs: nowMs + keptMs })),
    noted: (names) =>
      Promise.resolve(
        names.map((name) => {
          const found = texts.get(name);
          return found === undefined || found.untilMs <= nowMs ? null : found.text;
        }),
      ),
    claim(name, holder) {
      const free = (claims.get(name) ?? holder) === holder;
      if (free) claims.set(name, holder);
      return Promise.resolve(free);
    },
    release: (name) => Promise.resolve(void claims.delete(name)),
  };
}

const SILENT: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => SILENT,
};

function deps(): RedeliveryDeps {
  const now = (): Date => new Date(nowMs);
  let running = 0;
  return {
    notes,
    // The clock stands still here, so that a pace would never be over.
    rateLimiter: { ...openLocalRateLimiter(now), reserve: () => Promise.resolve(nowMs) },
    now,
    random: () => 0.5,
    log: SILENT,
    deliveries: {
      host: {
        name: HOST,
        host: HOST,
        product: 'ghes',
        apiUrl: `https://${HOST}/api/v3`,
        logHosts: [],
        privateCidrs: [],
        maxConcurrency: 10,
      },
      page(cursor) {
        pagesRead += 1;
        const from = Number(cursor ?? 0);
        const next = from + PAGE_ITEMS < listed.length ? String(from + PAGE_ITEMS) : null;
        return Promise.resolve({ deliveries: listed.slice(from, from + PAGE_ITEMS), cursor: next });
      },
      async redeliver(id) {
        running += 1;
        most = Math.max(most, running);
        await Promise.resolve();
        running -= 1;
        if (refuse(id)) throw retryable('github_unavailable', 'no answer');
        askedFor.push(id);
        return 'asked';
      },
    },
  };
}

/** GitHub attempts a delivery now. */
function attempt(guid: string, status_code: number, event = 'workflow_job'): HookDelivery {
  lastId += 1n;
  const delivery: HookDelivery = {
    id: String(lastId),
    guid,
    delivered_at: new Date(nowMs).toISOString(),
    redelivery: listed.some((earlier) => earlier.guid === guid),
    status: status_code === 202 ? 'OK' : 'failed',
    status_code,
    event,
    action: 'completed',
  };
  listed.unshift(delivery);
  return delivery;
}

function pass(minutes: number): void {
  nowMs += minutes * MINUTE_MS;
}

async function redeliver(): Promise<RedeliveryReport> {
  pagesRead = 0;
  askedFor = [];
  const report = await redeliverAlone(deps(), 'one', false);
  if (report === null) throw new Error('another pass is under way');
  return report;
}

test('a complete pass is the end of the next one’s walk, and what was open is remembered beyond it', async () => {
  const open = attempt('open', 503);
  pass(60);
  for (let index = 0; index < 950; index += 1)
    attempt(`other-${index}`, 202, index % 2 === 0 ? 'push' : 'workflow_job');
  const first = await redeliver();
  expect(first).toMatchObject({ complete: true, reachedBackTo: open.delivered_at });
  expect(pagesRead).toBe(10);
  expect(askedFor).toEqual([open.id]);
  pass(30);
  attempt('open', 503);
  attempt('fresh', 202);
  const second = await redeliver();
  // The pages before the last pass's newest are not read again, but for one that reaches past the overlap.
  expect(pagesRead).toBe(10);
  expect(second.redelivered).toMatchObject([{ guid: 'open', attempts: 2, tries: 1 }]);
  pass(30);
  for (let index = 0; index < 120; index += 1) attempt(`newer-${index}`, 202);
  const third = await redeliver();
  expect(pagesRead).toBe(2);
  expect(third.redelivered).toMatchObject([{ guid: 'open', attempts: 2, tries: 2 }]);
  attempt('open', 202);
  pass(20);
  expect(await redeliver()).toMatchObject({ redelivered: [], waiting: [], exhausted: [], complete: true });
});

test('hundreds are asked for, at most ten at once, each once', async () => {
  for (let index = 0; index < 350; index += 1) attempt(`guid-${index}`, 0);
  const report = await redeliver();
  expect(new Set(askedFor).size).toBe(350);
  expect(askedFor).toHaveLength(350);
  expect(report.redelivered).toHaveLength(350);
  expect(most).toBe(10);
  expect((await redeliver()).waiting).toHaveLength(350);
  expect(askedFor).toEqual([]);
});

test('more than one pass may ask for are left to the next, which is said', async () => {
  for (let index = 0; index < 1_100; index += 1) attempt(`guid-${index}`, 0);
  const first = await redeliver();
  expect(first).toMatchObject({ complete: false });
  expect(first.redelivered).toHaveLength(1_000);
  const second = await redeliver();
  expect(second.redelivered).toHaveLength(100);
});

test('one that GitHub would not take is not counted as tried, and asked for by the next pass', async () => {
  const one = attempt('one', 503);
  refuse = () => true;
  await expect(redeliver()).rejects.toMatchObject({ code: 'github_unavailable' });
  pass(1);
  expect(await wasAskedFor(notes, HOST, 'one')).toBe(false);
  refuse = () => false;
  expect((await redeliver()).redelivered).toMatchObject([{ deliveryId: one.id, tries: 0 }]);
  expect(await wasAskedFor(notes, HOST, 'one')).toBe(true);
  expect(await wasAskedFor(notes, HOST, 'other')).toBe(false);
  expect(await wasAskedFor(notes, 'another.host', 'one')).toBe(false);
  pass(24 * 60 + 1);
  expect(await wasAskedFor(notes, HOST, 'one')).toBe(false);
});

test('a list that goes on for ever is left at the limit, and the next pass begins where this one did', async () => {
  const old = attempt('old', 503);
  pass(1);
  for (let index = 0; index < 100_000; index += 1) listed.push({ ...old, guid: 'old', event: 'push' });
  const first = await redeliver();
  expect(pagesRead).toBe(1_000);
  expect(first).toMatchObject({ complete: false });
  await redeliver();
  expect(pagesRead).toBe(1_000);
});

test('two passes at once are one', async () => {
  attempt('one', 503);
  const both = await Promise.all([
    redeliverAlone(deps(), 'one', true),
    redeliverAlone(deps(), 'other', true),
  ]);
  expect(both.filter((report) => report === null)).toHaveLength(1);
  expect(askedFor).toHaveLength(1);
});
