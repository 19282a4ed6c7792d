import { createHash, randomBytes } from 'node:crypto';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readRecord, tallyOf } from '../support/oracles/archive-oracle.ts';
import { each, openStage, scaled, until } from '../support/harness/everlog-under-test.ts';
import {
  hostConfig,
  placesOn,
  startFetchPath,
  startHost,
  type HostUnderTest,
} from '../support/github/fetch-path.ts';
import { startRedis } from '../support/servers/redis-server.ts';
import { Scene } from '../support/github/scene.ts';
import { answerOf, startScriptedLogHost } from '../support/servers/scripted-log-host.ts';

/** A body that is not whole is never stored as a log, by whatever sign it shows. */
const stage = openStage();
const TIMEOUT_MS = 120_000;

/** Around every threshold: packet, synchronous compression, memory, and one block of the log host. */
const ALL_SIZES = [
  1, 2, 10, 100, 1_000, 4_095, 4_096, 16_384, 40_000, 65_535, 65_536, 65_537, 100_003, 131_072, 200_000,
  300_001, 524_288, 1_048_575, 1_048_577, 2_097_153,
];
/** A soak cuts bodies of every size, a usual run of every fourth. */
const SIZES = ALL_SIZES.filter((_, at) => at % scaled(4, 1) === 0);
const FRAMINGS = ['length', 'chunked', 'gzip'] as const;
const OFFSETS = 10;

let host: HostUnderTest;
let scene: Scene;

beforeAll(async () => {
  const redis = await startRedis();
  stage.defer(() => redis.stop());
  host = await startHost(stage, 'ghes');
  const answers = new Map<string, Buffer>();
  const scripted = await startScriptedLogHost(
    stage,
    (target) => answers.get(target.replace(/\?.*$/, '')) ?? answerOf('404 Not Found', {}),
  );
  const config = hostConfig(host, { maxConcurrency: 60, logHosts: [scripted.authority] });
  const service = await startFetchPath(stage, redis.url, [config]);
  scene = new Scene(
    host,
    service,
    { origin: scripted.origin, answers, targets: scripted.targets },
    'octo-org',
  );
}, TIMEOUT_MS);

afterAll(() => stage.close());

/** Ten places before the end of `bytes`, the first byte and the last among them. */
function offsetsIn(bytes: number): number[] {
  const places = [
    0,
    1,
    bytes / 10,
    bytes / 4,
    bytes / 3,
    bytes / 2,
    bytes * 0.9,
    bytes - 9,
    bytes - 2,
    bytes - 1,
  ];
  return places.map((place) => Math.max(0, Math.min(bytes - 1, Math.floor(place)))).slice(0, OFFSETS);
}

async function expectWhole(id: number): Promise<void> {
  const places = placesOn(host, id);
  const source = scene.bytesOf(id);
  const record = await readRecord(scene.service.archive, places.record);
  const { bytes } = await scene.service.archive.read(places.log);
  expect({ id, ...tallyOf(gunzipSync(bytes)) }).toEqual({ id, ...tallyOf(source) });
  expect(record).toMatchObject({ outcome: 'archived', revision: 1, log: tallyOf(source) });
}

async function stored(): Promise<string[]> {
  const versions = await scene.service.archive.versions();
  return versions.filter((key) => /^v1\/(logs|records)\//.test(key));
}

test.each(FRAMINGS)(
  `${OFFSETS * SIZES.length} bodies framed by %s are cut short: none is stored, and all are once the host behaves`,
  async (framing) => {
    const before = (await stored()).length;
    const cuts = SIZES.flatMap((size, at) => {
      const log = randomBytes(size);
      const encoded = framing === 'gzip' ? gzipSync(log).length : size;
      return offsetsIn(encoded).map((offset) => {
        // Every other size comes without a digest, so that the framing alone must tell.
        const id = scene.job({ log, sealed: at % 2 === 0 });
        const effect =
          framing === 'gzip'
            ? ({ kind: 'gzip', cutAt: offset } as const)
            : ({ kind: 'cut', afterBytes: offset, framing } as const);
        return { id, fault: host.simulator.faults.add({ match: { route: 'blob', jobId: id }, effect }) };
      });
    });
    const answers = await each(cuts, 16, ({ id }) => scene.send(scene.payload(id)));
    expect([...new Set(answers)]).toEqual(['202 {"outcome":"queued"}']);
    // A second request means that the first body was judged.
    await until('every body was cut twice', () => cuts.every(({ fault }) => fault.hits >= 2), TIMEOUT_MS);
    expect((await stored()).length - before).toBe(0);
    const served = cuts.reduce((sum, { fault }) => sum + fault.hits, 0);
    host.simulator.faults.clear();
    await scene.service.hurry();
    await until(
      'every log is archived',
      async () => (await stored()).length - before === cuts.length * 2,
      TIMEOUT_MS,
      () => scene.service.lines.slice(-20).join(''),
    );
    for (const { id } of cuts) await expectWhole(id);
    process.stdout.write(
      `${cuts.length} logs (${framing}): ${served} cut bodies served, 0 stored, all archived in the end\n`,
    );
  },
  TIMEOUT_MS * 2,
);

const PLAIN = { 'content-type': 'text/plain' };
const GZIP = { ...PLAIN, 'content-encoding': 'gzip' };

function md5(bytes: Buffer): string {
  return createHash('md5').update(bytes).digest('base64');
}

function untilClose(headers: Readonly<Record<string, string>>, body: Buffer): Buffer {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\n${lines.join('')}connection: close\r\n\r\n`), body]);
}

function changed(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  const index = at < 0 ? bytes.length + at : at;
  copy[index] = (copy[index] ?? 0) ^ 0x55;
  return copy;
}

/** Answers whose body is not the log, each with a sign of it. */
const DAMAGED: readonly (readonly [string, (log: Buffer) => Buffer])[] = [
  [
    'a wrong Content-MD5',
    (log) => answerOf('200 OK', { ...PLAIN, 'content-md5': md5(Buffer.from('other')) }, log),
  ],
  [
    'a changed byte under the right Content-MD5',
    (log) => answerOf('200 OK', { ...PLAIN, 'content-md5': md5(log) }, changed(log, 5)),
  ],
  ['a Content-MD5 that is none', (log) => answerOf('200 OK', { ...PLAIN, 'content-md5': 'unknown' }, log)],
  [
    'a wrong Content-MD5 on a gzip body',
    (log) => answerOf('200 OK', { ...GZIP, 'content-md5': md5(Buffer.from('x')) }, gzipSync(log)),
  ],
  ['a gzip checksum that does not fit', (log) => answerOf('200 OK', GZIP, changed(gzipSync(log), -6))],
  ['a gzip length that does not fit', (log) => answerOf('200 OK', GZIP, changed(gzipSync(log), -1))],
  ['a gzip body without its trailer', (log) => answerOf('200 OK', GZIP, gzipSync(log).subarray(0, -8))],
  [
    'a gzip body with garbage behind it',
    (log) => answerOf('200 OK', GZIP, Buffer.concat([gzipSync(log), Buffer.from('garbage, and more')])),
  ],
  [
    'a gzip body with a second, cut member',
    (log) => answerOf('200 OK', GZIP, Buffer.concat([gzipSync(log), gzipSync(log).subarray(0, 40)])),
  ],
  ['plain bytes that claim to be gzip', (log) => answerOf('200 OK', GZIP, log)],
  ['an empty body that claims to be gzip', () => answerOf('200 OK', GZIP)],
  [
    'a chunk that ends early',
    (log) =>
      untilClose(
        { ...PLAIN, 'transfer-encoding': 'chunked' },
        Buffer.concat([Buffer.from('ffff\r\n'), log.subarray(0, 100)]),
      ),
  ],
  [
    'chunks without the last',
    (log) =>
      untilClose(
        { ...PLAIN, 'transfer-encoding': 'chunked' },
        Buffer.concat([Buffer.from('64\r\n'), log.subarray(0, 100), Buffer.from('\r\n')]),
      ),
  ],
  [
    'a chunk size that is no number',
    (log) =>
      untilClose({ ...PLAIN, 'transfer-encoding': 'chunked' }, Buffer.concat([Buffer.from('zz\r\n'), log])),
  ],
  [
    'two lengths that disagree',
    (log) => untilClose({ ...PLAIN, 'content-length': String(log.length), 'Content-Length': '10' }, log),
  ],
  [
    'a cut body until close that its Content-MD5 betrays',
    (log) => untilClose({ ...PLAIN, 'content-md5': md5(log) }, log.subarray(0, 100)),
  ],
  ['no answer at all', () => Buffer.alloc(0)],
  ['a head that is cut', () => Buffer.from('HTTP/1.1 200 OK\r\ncontent-ty')],
];

describe('a damaged body is not stored, and the log is fetched anew', () => {
  test.each(DAMAGED)(
    '%s',
    async (_name, damaged) => {
      const id = scene.job({ log: randomBytes(3_000) });
      const source = scene.bytesOf(id);
      scene.link(id, 1, damaged(source));
      scene.link(id, 2, damaged(source));
      await scene.send(scene.payload(id));
      expect(await scene.service.settled(host.name, id)).toMatchObject({ state: 'done' });
      await expectWhole(id);
      expect(scene.spent(id)).toMatchObject({ logs: 3, blob: 3 });
    },
    TIMEOUT_MS,
  );
});

describe('what cannot be told from a whole body', () => {
  test('a body until close, cut or not, is kept and marked', async () => {
    const id = scene.job({ log: randomBytes(3_000) });
    const cut = scene.bytesOf(id).subarray(0, 100);
    scene.link(id, 1, untilClose(PLAIN, cut));
    await scene.send(scene.payload(id));
    expect(await scene.service.settled(host.name, id)).toMatchObject({ state: 'done' });
    const record = await readRecord(scene.service.archive, placesOn(host, id).record);
    expect(record).toMatchObject({ fetch: { possibly_truncated: true }, log: tallyOf(cut) });
  });

  test('what follows a body of stated length is no part of it', async () => {
    const id = scene.job({ log: randomBytes(3_000) });
    const source = scene.bytesOf(id);
    const headers = { ...PLAIN, 'content-length': String(source.length) };
    scene.link(id, 1, answerOf('200 OK', headers, Buffer.concat([source, Buffer.from('trailing garbage')])));
    await scene.send(scene.payload(id));
    expect(await scene.service.settled(host.name, id)).toMatchObject({ state: 'done' });
    await expectWhole(id);
  });
});
