import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { recordKey } from '../../../src/archive/keys.ts';
import { serializeRecord } from '../../../src/archive/record.ts';
import { createWeb } from '../../../src/web/app.ts';
import type { View, WebDeps } from '../../../src/web/site.ts';
import {
  addressOf,
  makeArchive,
  makeRecord,
  storeJob,
  storeRecord,
} from '../../support/oracles/archived-jobs.ts';
import { beginLedger } from '../../support/oracles/small-ledger.ts';
import { webDeps } from '../../support/web/web-under-test.ts';

const JOB = '/octo-org/Octo-Repo/actions/runs/29679449/job/399444496';
/** Of several chunks, and no better compressed than that. */
const LOG = randomBytes(150_000).toString('base64');

async function site(changes: Partial<WebDeps> = {}) {
  const store = await makeArchive();
  const record = await storeJob(store, makeRecord(), LOG);
  const views: View[] = [];
  const noteView = async (view: View): Promise<void> => void views.push(view);
  const app = createWeb(webDeps(store, { noteView, ...changes }));
  const ask = (path: string, init: RequestInit = {}): Promise<Response> =>
    Promise.resolve(app.fetch(new Request(`http://logs.example${path}`, init), {}));
  return { store, record, views, ask };
}

describe('bytes of a log', () => {
  test.each(['raw', 'download'])(
    '%s: of other bytes than were archived, as many as those, never all are sent',
    async (kind) => {
      const { store, record, ask } = await site();
      if (record.log === null) throw new Error('the job has a log');
      const log = { ...record.log, sha256: '0'.repeat(64) };
      await storeRecord(store, { ...record, revision: 2, log });
      const answer = await ask(`${JOB}/${kind}`);
      expect(answer.headers.get('content-length')).toBe(String(LOG.length));
      const reader = answer.body?.getReader();
      let bytes = 0;
      const readAll = async (): Promise<void> => {
        for (let read = await reader?.read(); read?.done === false; read = await reader?.read())
          bytes += read.value.length;
      };
      await expect(readAll()).rejects.toThrow('SHA-256');
      expect(bytes).toBeLessThan(LOG.length);
    },
  );

  test('are not sent before it is written down who takes them, and not at all where it cannot be', async () => {
    const { ask } = await site({
      noteView: async ({ kind }) => {
        if (kind !== 'page') throw new Error('nothing can be written');
      },
    });
    for (const kind of ['raw', 'download', 'proof/bundle']) {
      const answer = await ask(`${JOB}/${kind}`);
      const body = await answer.text();
      expect([kind, kind === 'proof/bundle' || answer.status === 502]).toEqual([kind, true]);
      expect(body).not.toContain(LOG.slice(0, 50));
    }
  });

  test('are not in the answer to who asks for its head, nor noted as taken', async () => {
    const { ask, views } = await site();
    for (const kind of ['raw', 'download']) {
      const answer = await ask(`${JOB}/${kind}`, { method: 'HEAD' });
      expect([answer.status, answer.headers.get('content-length')]).toEqual([200, String(LOG.length)]);
      expect(await answer.text()).toBe('');
    }
    expect(views.map(({ kind }) => kind)).toEqual(['page', 'page']);
  });

  test('are sent whole to who asks for a part', async () => {
    const { ask } = await site();
    const answer = await ask(`${JOB}/raw`, { headers: { range: 'bytes=0-10' } });
    expect([answer.status, await answer.text()]).toEqual([200, LOG]);
  });

  test('are sent to a few at once of one reader, and again when one of them has gone', async () => {
    const { ask } = await site();
    const sent: Response[] = [];
    for (let answer = await ask(`${JOB}/raw`); answer.status === 200; answer = await ask(`${JOB}/raw`)) {
      sent.push(answer);
      expect(sent.length).toBeLessThan(100);
    }
    expect((await ask(`${JOB}/raw`)).status).toBe(503);
    await sent[0]?.body?.cancel();
    const again = await ask(`${JOB}/raw`);
    expect([again.status, await again.text()]).toEqual([200, LOG]);
    for (const answer of sent.slice(1)) await answer.body?.cancel();
  });
});

test('bytes of a record that is not the one that was sealed are given only to who wants them all the same', async () => {
  const { store, record, ask, views } = await site();
  const key = recordKey(addressOf(record), 1);
  const ledger = await beginLedger(store, '2020-01-20T17:00:00Z');
  await ledger.seal('2020-01-20T18:00:00Z', [key]);
  expect((await ask(`${JOB}/raw`)).status).toBe(200);
  // Whoever can write to the archive puts another record, and its log, in their place.
  const forged = { ...record, conclusion: 'success', head_sha: 'f'.repeat(40) };
  writeFileSync(
    join(fileURLToPath(store.location.replace(/^file:/, 'file://')), key),
    serializeRecord(forged),
  );
  for (const kind of ['raw', 'download']) {
    const answer = await ask(`${JOB}/${kind}`);
    expect([answer.status, (await answer.text()).includes('Not what was archived')]).toEqual([502, true]);
    expect((await ask(`${JOB}/${kind}?anyway=1`)).status).toBe(200);
  }
  expect(views.map(({ kind }) => kind)).toEqual(['raw', 'raw', 'download']);
});

test('a page of lines that grow when they are made HTML stays one that a browser takes', async () => {
  const { store, ask } = await site();
  const line = 'src/a.ts:1 '.repeat(170);
  await storeJob(store, makeRecord({ job_id: 7 }), `${line}\n`.repeat(1_100));
  const body = await (await ask(JOB.replace('399444496', '7'))).text();
  expect(body.length).toBeLessThan(10 * 1024 * 1024);
  expect(body).toContain('L1100');
});
