import { expect, test } from 'vitest';
import type { ApiAnswer, GitHubApi } from '../../../src/github/api.ts';
import { divideWindow, listRuns, type CreatedWindow } from '../../../src/github/runs.ts';

const REPOSITORY = { owner: 'octo-org', repo: 'repo', installationId: 1 };
const at = (text: string): Date => new Date(text);
const WEEK: CreatedWindow = { from: at('2026-11-01T00:00:00Z'), to: at('2026-11-07T23:59:59Z') };

/** A GitHub that lists these moments of creation, newest first, no more than 1,000 of a window, and counts its calls. */
function githubWith(moments: readonly number[]): { api: GitHubApi; asked: string[] } {
  const asked: string[] = [];
  const base = 'https://api.github.com';
  const api: GitHubApi = {
    host: {
      name: 'github.com',
      host: 'github.com',
      product: 'github.com',
      apiUrl: base,
      logHosts: [],
      privateCidrs: [],
      maxConcurrency: 1,
    },
    rateState: () => Promise.resolve(null),
    get(path): Promise<ApiAnswer> {
      asked.push(path);
      const url = new URL(path, base);
      const [from = '', to = ''] = (url.searchParams.get('created') ?? '').split('..');
      const page = Number(url.searchParams.get('page') ?? 1);
      const matching = moments
        .map((ms, index) => ({ ms, id: index + 1 }))
        .filter(({ ms }) => ms >= Date.parse(from) && ms < Date.parse(to) + 1_000)
        .toSorted((a, b) => b.ms - a.ms);
      const reachable = matching.slice(0, 1_000);
      const last = Math.max(1, Math.ceil(reachable.length / 100));
      const link = (to_: number, rel: string): string => {
        url.searchParams.set('page', String(to_));
        return `<${url.href}>; rel="${rel}"`;
      };
      const links = [
        ...(page > 1 ? [link(page - 1, 'prev'), link(1, 'first')] : []),
        ...(page < last ? [link(page + 1, 'next'), link(last, 'last')] : []),
      ];
      const workflow_runs = reachable.slice((page - 1) * 100, page * 100).map(({ ms, id }) => ({
        id,
        run_number: id,
        run_attempt: 1,
        status: 'completed',
        created_at: new Date(ms).toISOString(),
      }));
      const bytes = Buffer.from(JSON.stringify({ total_count: matching.length, workflow_runs }));
      return Promise.resolve({ status: 200, headers: { link: links.join(', ') }, bytes, path });
    },
  };
  return { api, asked };
}

async function idsOf(api: GitHubApi, window: CreatedWindow): Promise<number[]> {
  const ids: number[] = [];
  for await (const { runs } of listRuns(api, REPOSITORY, window)) ids.push(...runs.map(({ id }) => id));
  return ids;
}

test('a window is divided into parts that cover every second once', () => {
  const parts = divideWindow(WEEK, 2_500);
  expect(parts).toHaveLength(4);
  expect(parts[0]?.from).toEqual(WEEK.from);
  expect(parts.at(-1)?.to).toEqual(WEEK.to);
  const steps = parts.slice(1).map(({ from }, index) => from.getTime() - (parts[index]?.to.getTime() ?? 0));
  expect(steps).toEqual([1_000, 1_000, 1_000]);
});

test('two seconds are divided into one and one, and a single second not at all', () => {
  const from = at('2026-11-01T00:00:00Z');
  const to = at('2026-11-01T00:00:01Z');
  expect(divideWindow({ from, to }, 5_000)).toEqual([
    { from, to: from },
    { from: to, to },
  ]);
  expect(divideWindow({ from, to: from }, 5_000)).toEqual([]);
});

test.each([0, 1, 100, 101, 999, 1_000, 1_001, 5_300])(
  '%d runs are each listed once, oldest first',
  async (runs) => {
    // In three busy hours, where dividing must go deep.
    const moments = Array.from(
      { length: runs },
      (_, index) => WEEK.from.getTime() + Math.floor(index * 2) * 1_000,
    );
    const { api, asked } = githubWith(moments);
    expect(await idsOf(api, WEEK)).toEqual(moments.map((_, index) => index + 1));
    expect(asked.length).toBeLessThanOrEqual(Math.ceil(runs / 100) + (runs < 1_000 ? 1 : 50));
  },
);

test('runs at the very edges of a window belong to it', async () => {
  const { api } = githubWith([
    WEEK.from.getTime() - 1,
    WEEK.from.getTime(),
    WEEK.to.getTime() + 999,
    WEEK.to.getTime() + 1_000,
  ]);
  expect(await idsOf(api, WEEK)).toEqual([2, 3]);
});

test('a second with a thousand runs is an error that says so', async () => {
  const { api } = githubWith(Array.from({ length: 1_000 }, () => WEEK.from.getTime()));
  await expect(idsOf(api, WEEK)).rejects.toThrow(
    'octo-org/repo has 1000 runs created in the second 2026-11-01T00:00:00Z',
  );
});

test('a list that gives fewer runs than it counts is not taken for whole', async () => {
  const { api } = githubWith([WEEK.from.getTime(), WEEK.from.getTime() + 1_000]);
  const short: GitHubApi = {
    ...api,
    async get(path, repository) {
      const answer = await api.get(path, repository);
      return {
        ...answer,
        bytes: Buffer.from(answer.bytes.toString().replace('"total_count":2', '"total_count":3')),
      };
    },
  };
  await expect(idsOf(short, WEEK)).rejects.toMatchObject({
    code: 'github_unexpected',
    remedy: { kind: 'retry' },
  });
});
