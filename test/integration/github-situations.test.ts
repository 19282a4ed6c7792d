import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readRecord, tallyOf } from '../support/oracles/archive-oracle.ts';
import { each, openStage, until } from '../support/harness/everlog-under-test.ts';
import {
  hostConfig,
  KINDS,
  placesOn,
  startFetchPath,
  startQuietHost,
  type HostUnderTest,
} from '../support/github/fetch-path.ts';
import { startRedis, type RedisServer } from '../support/servers/redis-server.ts';
import { Scene, type OwnLinks, type Situation, type Spent } from '../support/github/scene.ts';
import { answerOf, startScriptedLogHost } from '../support/servers/scripted-log-host.ts';
import { JOB_LOG_BYTES_MAX, SITUATIONS_WITH_LOGS } from '../support/github/situations-with-logs.ts';
import {
  SITUATIONS_WITH_A_SMALL_SPOOL,
  SITUATIONS_WITHOUT_LOGS,
  SPOOL_BYTES_MAX,
} from '../support/github/situations-without-logs.ts';

/**
 * What GitHub does, and what comes of it: each situation on a github.com, a GHE.com and a GHES that one process serves side by
 * side, with equal installation ids.
 */
const stage = openStage();
const START_TIMEOUT_MS = 120_000;
/** More than the longest waits between tries add up to, on a machine that is busy. */
const SITUATION_TIMEOUT_MS = 60_000;
const rows: string[][] = [];

let redis: RedisServer;
let databases = 0;

beforeAll(async () => {
  redis = await startRedis();
  stage.defer(() => redis.stop());
}, START_TIMEOUT_MS);

afterAll(async () => {
  await stage.close();
  process.stdout.write(`\n${tableOf(rows)}\n`);
});

/** All situations on all their hosts, begun together when the first is asked for. */
function openPlay(situations: readonly Situation[], env: Readonly<Record<string, string>> = {}) {
  const plays = situations.flatMap((situation) =>
    (situation.only ?? KINDS).map((kind) => ({ situation, kind, title: `${situation.name} on ${kind}` })),
  );
  const endings = new Map<string, Promise<Ending>>();
  return {
    plays,
    async begin() {
      const hosts = await Promise.all(KINDS.map((kind) => startQuietHost(stage, kind)));
      const answers = new Map<string, Buffer>();
      const scripted = await startScriptedLogHost(
        stage,
        (target) => answers.get(target.replace(/\?.*$/, '')) ?? answerOf('404 Not Found', {}),
      );
      const links: OwnLinks = { origin: scripted.origin, answers, targets: scripted.targets };
      const service = await startFetchPath(
        stage,
        `${redis.url}/${databases++}`,
        hosts.map((host) => hostConfig(host, { logHosts: [scripted.authority] })),
        env,
      );
      for (const [index, { situation, kind, title }] of plays.entries()) {
        const host = hosts.find(({ product }) => product === kind);
        if (host === undefined) throw new Error(`no host of kind ${kind}`);
        const ending = act(situation, new Scene(host, service, links, `org-${index}`));
        // Judged by its own test, which may come to it late.
        ending.catch(() => undefined);
        endings.set(title, ending);
      }
    },
    ending(title: string): Promise<Ending> {
      return endings.get(title) ?? Promise.reject(new Error(`${title} has not begun`));
    },
  };
}

interface Ending {
  readonly scene: Scene;
  readonly jobId: number;
  readonly places: { record: string; log: string };
  readonly state: string;
  readonly reason: string | null;
}

async function act(situation: Situation, scene: Scene): Promise<Ending> {
  const jobId = situation.arrange(scene);
  const payload = scene.payload(jobId);
  const places = placesOn(scene.host, jobId);
  await situation.meanwhile?.(scene, jobId);
  expect(await scene.send(payload)).toBe('202 {"outcome":"queued"}');
  let { state, reason } = await scene.service.settled(scene.host.name, jobId);
  if (situation.later !== undefined) {
    expect({ state, reason }).toEqual({ state: 'done', reason: null });
    await scene.service.forget(scene.host.name, jobId);
    situation.later(scene, jobId);
    expect(await scene.send(payload)).toBe('202 {"outcome":"queued"}');
    ({ state, reason } = await scene.service.settled(scene.host.name, jobId));
    const first = await readRecord(scene.service.archive, places.record);
    expect(first['log']).toBeNull();
    places.record = places.record.replace(/\.json$/, '.r2.json');
  }
  return { scene, jobId, places, state, reason };
}

async function judge(situation: Situation, ending: Ending): Promise<void> {
  const { scene, jobId, places, state, reason } = ending;
  const { archive } = scene.service;
  const spent = scene.spent(jobId);
  const keys = (await archive.versions()).filter(
    (key) => key.includes(`host=${scene.host.name}/`) && key.includes(`${jobId}.`),
  );
  const record = state === 'done' ? await readRecord(archive, places.record) : null;
  const ends = record?.outcome ?? state;
  const tries = record?.fetch.attempts ?? null;
  rows.push(rowOf(situation, scene.host, ends, String(tries ?? '–'), spent));
  const logged = situation.ends === 'archived';
  const [least, most] =
    typeof situation.tries === 'number' ? [situation.tries, situation.tries] : situation.tries;
  expect({
    ends,
    spent,
    reason: reason ?? '',
    logs: keys.filter((key) => key.startsWith('v1/logs/')),
  }).toEqual({
    ends: situation.ends,
    spent: situation.spends,
    reason: expect.stringMatching(situation.reason ?? /^$/),
    logs: logged ? [places.log] : [],
  });
  expect(tries ?? least).toBeGreaterThanOrEqual(least);
  expect(tries ?? most).toBeLessThanOrEqual(most);
  expect(record ?? {}).toMatchObject({
    ...(record === null ? {} : { host: scene.host.name, owner: scene.owner, job_id: jobId }),
    ...(logged ? { log: await logOf(ending), absence: null } : {}),
    ...situation.says,
  });
  if (record !== null) situation.check?.(scene, jobId, record);
}

/** What a record must say of the log that stands in the archive, which must be the one that GitHub serves. */
async function logOf({ scene, jobId, places }: Ending): Promise<Record<string, unknown>> {
  const { bytes } = await scene.service.archive.read(places.log);
  const source = scene.bytesOf(jobId);
  expect(tallyOf(gunzipSync(bytes))).toEqual(tallyOf(source));
  const stored_sha256 = createHash('sha256').update(bytes).digest('hex');
  return { ...tallyOf(source), key: places.log, stored_sha256, stored_bytes: bytes.length };
}

const acts = [
  {
    title: 'where there is a log',
    ...openPlay(SITUATIONS_WITH_LOGS, { EVERLOG_JOB_LOG_MAX_BYTES: String(JOB_LOG_BYTES_MAX) }),
  },
  {
    title: 'where there is none',
    ...openPlay(SITUATIONS_WITHOUT_LOGS, { EVERLOG_JOB_LOG_MAX_BYTES: String(JOB_LOG_BYTES_MAX) }),
  },
  {
    title: 'where the spool is small',
    ...openPlay(SITUATIONS_WITH_A_SMALL_SPOOL, { EVERLOG_SPOOL_MAX_BYTES: String(SPOOL_BYTES_MAX) }),
  },
];

describe.each(acts)('$title', (play) => {
  beforeAll(() => play.begin(), START_TIMEOUT_MS);

  test.each(play.plays)(
    '$title: $situation.ends',
    async ({ situation, title }) => {
      await judge(situation, await play.ending(title));
    },
    SITUATION_TIMEOUT_MS,
  );
});

describe('a host that looks broken', () => {
  const FOUND = 48;
  const MISSING = 12;
  const RECOVERED = 30;

  test(
    'is not believed about missing logs until it gives logs again',
    async () => {
      const [host, other] = await Promise.all([
        startQuietHost(stage, 'ghes'),
        startQuietHost(stage, 'ghe.com'),
      ]);
      const service = await startFetchPath(stage, `${redis.url}/${databases++}`, [
        hostConfig(host),
        hostConfig(other),
      ]);
      const links: OwnLinks = { origin: '', answers: new Map(), targets: [] };
      const scene = new Scene(host, service, links, 'octo-org');
      const elsewhere = new Scene(other, service, links, 'octo-org');
      const found = Array.from({ length: FOUND }, (_, index) => scene.job({ log: `${index}\n` }));
      await each(found, 8, (id) => scene.send(scene.payload(id)));
      await each(found, 8, (id) => service.settled(host.name, id));
      const missing = Array.from({ length: MISSING }, () => scene.job({ log: null }));
      await each(missing, 8, (id) => scene.send(scene.payload(id)));
      // Each is looked for again and again, and each time put off.
      for (const id of missing)
        await until(
          `job ${id} is put off for its host`,
          async () => {
            const { state, reason } = await service.settled(host.name, id, 0);
            return state === 'put_off' && reason?.includes('a missing one proves nothing') === true;
          },
          SITUATION_TIMEOUT_MS,
        );
      const recordsOf = async (): Promise<string[]> =>
        (await service.archive.versions()).filter((key) => key.startsWith(`v1/records/host=${host.name}/`));
      expect(await recordsOf()).toHaveLength(FOUND);
      // Another host is judged by its own logs alone.
      const lost = elsewhere.job({ log: null });
      await elsewhere.send(elsewhere.payload(lost));
      expect(await service.settled(other.name, lost)).toMatchObject({ state: 'done' });
      expect((await readRecord(service.archive, placesOn(other, lost).record)).outcome).toBe('unavailable');

      // One log was only late: it is there before the host gives others again, as jobs are looked for all the time.
      const [late = 0, ...never] = missing;
      host.simulator.world.setLog(late, 'late\n');
      const since = Array.from({ length: RECOVERED }, (_, index) => scene.job({ log: `again ${index}\n` }));
      await each(since, 8, (id) => scene.send(scene.payload(id)));
      await each(since, 8, (id) => service.settled(host.name, id));
      await service.hurry();
      await until(
        'every job has a record',
        async () => (await recordsOf()).length === FOUND + RECOVERED + MISSING,
        SITUATION_TIMEOUT_MS,
      );
      expect((await readRecord(service.archive, placesOn(host, late).record)).outcome).toBe('archived');
      for (const id of never) {
        const record = await readRecord(service.archive, placesOn(host, id).record);
        expect(record.outcome).toBe('unavailable');
        expect(Number(record.absence?.['tries'])).toBeGreaterThanOrEqual(4);
      }
    },
    START_TIMEOUT_MS,
  );
});

function rowOf(
  situation: Situation,
  host: HostUnderTest,
  ends: string,
  tries: string,
  spent: Spent,
): string[] {
  const { blob = 0, ...api } = spent;
  const calls = Object.entries(api).map(([route, count]) => `${route} ${count}`);
  return [
    situation.name,
    situation.api,
    situation.log,
    situation.job,
    host.product,
    ends,
    tries,
    calls.join(', ') || 'none',
    String(blob),
  ];
}

/** Hosts on which a situation went the same way share a line. */
function tableOf(found: readonly string[][]): string {
  const merged = new Map<string, string[]>();
  for (const row of found) {
    const key = JSON.stringify(row.toSpliced(4, 1));
    const known = merged.get(key);
    if (known === undefined) merged.set(key, [...row]);
    else known[4] = `${known[4]} ${row[4]}`;
  }
  const head = [
    'situation',
    'API',
    'log host',
    'job',
    'hosts',
    'outcome',
    'tries',
    'API calls',
    'log requests',
  ];
  const lines = [head, ...merged.values()].map((row) =>
    row.map((cell) => (cell === KINDS.join(' ') ? 'all' : cell)),
  );
  const widths = head.map((_, at) => Math.max(...lines.map((row) => row[at]?.length ?? 0)));
  return lines
    .map((row) =>
      row
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
