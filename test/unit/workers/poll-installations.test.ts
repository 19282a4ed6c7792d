import { expect, test } from 'vitest';
import type { Installation } from '../../../src/github/repositories.ts';
import type { NewJob } from '../../../src/queue/catalog.ts';
import { pollInstallations } from '../../../workers/handlers/poll-installations.ts';

const HOST = 'github.com';
const NOW = new Date('2026-11-20T12:00:00.000Z');
const HOUR_MS = 3_600_000;

function open(): {
  poll: (
    present: Readonly<Record<number, 'active' | 'suspended'>>,
    unlisted?: readonly number[],
  ) => Promise<void>;
  told: () => readonly string[];
  paused: () => readonly string[];
} {
  const texts = new Map<string, string>();
  let told: string[] = [];
  let paused: string[] = [];
  async function* list(present: Readonly<Record<number, string>>): AsyncGenerator<Installation> {
    for (const [id, state] of Object.entries(present)) {
      yield await Promise.resolve({ id: Number(id), account: `org-${id}`, suspended: state === 'suspended' });
    }
  }
  return {
    async poll(present, unlisted = []) {
      told = [];
      paused = [];
      await pollInstallations(
        {
          installations: new Map([[HOST, () => list(present)]]),
          isInstalled: (_host, id) => Promise.resolve(unlisted.includes(id)),
          notes: {
            note: (name, text) => Promise.resolve(void texts.set(name, text)),
            noted: (names) => Promise.resolve(names.map((name) => texts.get(name) ?? null)),
          },
          rateLimiter: {
            pause(budget, untilMs) {
              expect(untilMs).toBeGreaterThan(NOW.getTime() + HOUR_MS);
              paused.push(budget);
              return Promise.resolve();
            },
          },
          enqueue(job: NewJob) {
            if (job.name !== 'installation-changed') throw new Error(`${job.name} was queued`);
            expect(job.data).toMatchObject({ host: HOST, received_at: NOW.toISOString() });
            told.push(`${job.data.installation_id} ${job.data.action}`);
            return Promise.resolve('queued');
          },
          now: () => NOW,
        },
        { host: HOST },
      );
    },
    told: () => told,
    paused: () => paused,
  };
}

test('what no event said is done as the event would have', async () => {
  const { poll, told, paused } = open();
  await poll({ 1: 'active', 2: 'suspended', 3: 'active' });
  expect([told(), paused()]).toEqual([[], [`${HOST}/2`]]);
  await poll({ 1: 'suspended', 2: 'active', 3: 'active' });
  expect([told(), paused()]).toEqual([['2 unsuspend'], [`${HOST}/1`]]);
  await poll({ 1: 'suspended', 2: 'active', 4: 'active' });
  expect([told(), paused()]).toEqual([['3 deleted'], [`${HOST}/1`]]);
  await poll({ 1: 'suspended', 2: 'active', 4: 'active' });
  expect([told(), paused()]).toEqual([[], [`${HOST}/1`]]);
  await poll({});
  expect(told()).toEqual(['1 deleted', '2 deleted', '4 deleted']);
});

test('an empty list of installations deletes none that still answer', async () => {
  const { poll, told } = open();
  await poll({ 1: 'active', 2: 'suspended' });
  await poll({}, [1, 2]);
  expect(told()).toEqual([]);
  await poll({ 2: 'active' }, []);
  expect(told()).toEqual(['2 unsuspend', '1 deleted']);
});
