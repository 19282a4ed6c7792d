import { sign } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openFolderStore } from '../../src/store/folder/folder-object-store.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { VERIFY_SCRIPT } from '../../src/ledger/export/bundle/verify-script.ts';
import { makeAbsence, makeRecord, put, storeJob, storeRecord } from '../support/oracles/archived-jobs.ts';
import { DAMAGES, filesOf, type Chance } from '../support/oracles/bundle-damage.ts';
import {
  exportTo,
  makeToolFolder,
  runVerify,
  runVerifyScript,
} from '../support/harness/bundle-under-test.ts';
import { scaled } from '../support/harness/everlog-under-test.ts';
import { sha256Of } from '../support/harness/sealing-under-test.ts';
import { removeTemporaryFolder, temporaryFolder } from '../support/processes/processes.ts';
import { beginLedger, makeKey, recordKeyOf, type SmallLedger } from '../support/oracles/small-ledger.ts';

/** Of each kind, by chance. */
const GOOD_BUNDLES = scaled(3, 100);
/** At least every kind of damage once. */
const DAMAGED_BUNDLES = Math.max(DAMAGES.length, scaled(1, 4 * DAMAGES.length));
/** Some four seconds for each on a busy machine, two at once. */
const DAMAGED_TIMEOUT_MS = DAMAGED_BUNDLES * 6_000;
/** Entries of each digest: trees of every shape up to three levels. */
const DIGEST_SIZES = [3, 0, 5, 8, 1, 7];
const JOBS = DIGEST_SIZES.reduce((sum, size) => sum + size, 0);
const REPOSITORIES = 3;
/** Children at once: this machine's cores. */
const SIDE_BY_SIDE = 2;

let folder: string;
let tools: string;

beforeAll(async () => {
  folder = temporaryFolder('everlog-bundles-');
  tools = await makeToolFolder(join(folder, 'tools'));
  mkdirSync(join(folder, 'spool'));
});

afterAll(() => removeTemporaryFolder(folder));

interface Evidence {
  readonly store: ObjectStore;
  readonly ledger: SmallLedger;
  /** Fingerprint of the first key. */
  readonly pin: string;
}

/** A key for every two digests, the first revoked later by the last, and jobs of several repositories. */
async function makeEvidence(name: string, digestSizes: readonly number[]): Promise<Evidence> {
  const store = await openFolderStore({ folder: join(folder, name) });
  const ledger = await beginLedger(store, momentOf(0));
  const first = ledger.key();
  let job = 0;
  for (const [index, size] of digestSizes.entries()) {
    const keys: string[] = [];
    for (let count = 0; count < size; count += 1) {
      job += 1;
      const changes = {
        job_id: job,
        run_id: 1_000 + job,
        repo: `repo-${job % REPOSITORIES}`,
        head_sha: shaOf(job),
      };
      const record =
        job % 6 === 0
          ? makeAbsence('not_produced', changes)
          : await storeJob(store, makeRecord(changes), `log of job ${job}\n`.repeat(job * 20));
      if (record.log === null) await storeRecord(store, record);
      keys.push(recordKeyOf(record));
    }
    if (index % 2 === 1) await ledger.rotate(momentOf(index + 0.5));
    await ledger.seal(momentOf(index + 1), keys);
  }
  const { id: pin } = ledger.key();
  if (pin !== first.id) await ledger.revoke(first, momentOf(100));
  return { store, ledger, pin };
}

function momentOf(hours: number): string {
  return new Date(Date.UTC(2020, 0, 20, 17) + hours * 3_600_000).toISOString();
}

function shaOf(job: number): string {
  return job.toString(16).padStart(40, 'c0ffee');
}

/** The same numbers in every run, so that a failure can be looked at again. */
function chanceOf(seed: number): Chance {
  let state = seed * 2_654_435_761 + 12_345;
  return (below) => {
    state = (Math.imul(state ^ (state >>> 15), 2_246_822_519) + 0x9e3779b9) | 0;
    return ((state ^ (state >>> 13)) >>> 0) % below;
  };
}

async function sideBySide(count: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) await work(index);
  };
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, lane));
}

/** What a bundle may try with whoever checks it; `mark` is a file that no check makes. */
const HOSTILE_BUNDLES: Readonly<Record<string, (bundle: string, mark: string) => void>> = {
  count(bundle, mark) {
    const digest = join(bundle, 'ledger/digests/0000000001/digest.json');
    editJson(digest, (it) => ({
      ...it,
      entries: { count: `a[$(: >${mark})]`, merkle_root: `$(: >${mark})` },
    }));
  },
  index(bundle, mark) {
    const paths = join(bundle, 'entries/0000000001.paths.ndjson');
    const [first = '', ...rest] = readFileSync(paths, 'utf8').split('\n');
    writeFileSync(
      paths,
      [JSON.stringify({ ...JSON.parse(first), index: `a[$(: >${mark})]` }), ...rest].join('\n'),
    );
  },
  size(bundle, mark) {
    const record = filesOf(bundle).find((file) => file.startsWith('v1/records/')) ?? '';
    editJson(join(bundle, record), (it) => ({
      ...it,
      log: { bytes: `a[$(: >${mark})]`, key: `$(: >${mark})` },
    }));
  },
  text(bundle, mark) {
    const digest = join(bundle, 'ledger/digests/0000000001/digest.json');
    const text = `\u001b]0;title\u0007$(: >${mark})\n\u202e`;
    editJson(digest, (it) => ({ ...it, key_id: text, created_at: text, stream: text }));
    mkdirSync(join(bundle, 'v1', text), { recursive: true });
    writeFileSync(join(bundle, 'v1', text, '-rf *'), text);
  },
  /** The key's own signed statement, with a stranger named as the key before it where the signature does not reach. */
  predecessor(bundle) {
    const stranger = makeKey();
    const file = filesOf(bundle).find((it) => /^ledger\/keys\/[0-9a-f]{64}\.json$/.test(it)) ?? '';
    editJson(join(bundle, file), (it) => ({ ...it, reason: '', previous_key_id: stranger.id }));
    const statement = `everlog.key/v1\n${stranger.id}\n${momentOf(0)}\n\n`;
    const signature = sign(null, Buffer.from(statement), stranger.privatePem).toString('base64');
    const key = {
      schema: 'everlog.key/v1',
      key_id: stranger.id,
      algorithm: 'Ed25519',
      public_key: stranger.publicPem,
      not_before: momentOf(0),
      previous_key_id: null,
      signatures: [{ key_id: stranger.id, signature }],
    };
    writeFileSync(join(bundle, `ledger/keys/${stranger.id}.json`), `${JSON.stringify(key)}\n`);
  },
};

async function judged(bundle: string, fingerprint: string | null) {
  const [script, product] = [
    await runVerifyScript(bundle, tools, fingerprint),
    await runVerify(bundle, join(folder, 'spool'), fingerprint),
  ];
  return { script, product, codes: [script.code, product.code] };
}

test('verify.sh is short enough to be read before it is run', () => {
  expect(VERIFY_SCRIPT.trimEnd().split('\n').length).toBeLessThanOrEqual(120);
});

describe('verify.sh with stock tools alone, and everlog verify --bundle', () => {
  test(`agree that ${GOOD_BUNDLES} bundles are sound`, async () => {
    const { store, pin } = await makeEvidence('archive', DIGEST_SIZES);
    await sideBySide(GOOD_BUNDLES, async (index) => {
      const bundle = join(folder, `good-${index}`);
      const chance = chanceOf(index);
      const filters =
        index % 2 === 0
          ? { repo: { owner: 'octo-org', repo: `repo-${chance(REPOSITORIES)}` } }
          : { shaPrefix: shaOf(1 + chance(JOBS)) };
      const { report } = await exportTo(store, bundle, { filters });
      expect(report.rows.map(({ status }) => status)).not.toContain('not_sealed');
      const { script, product, codes } = await judged(bundle, index % 3 === 0 ? null : pin);
      expect(codes, `${script.output}\n${product.output}`).toEqual([0, 0]);
      expect(script.output.includes('UNPINNED')).toBe(index % 3 === 0);
    });
  });

  test('no fingerprint is taken for another than was meant', async () => {
    const { store, pin } = await makeEvidence('pinned-archive', [1]);
    const bundle = join(folder, 'pinned');
    await exportTo(store, bundle);
    for (const wrong of ['not a fingerprint', pin.slice(1), `${pin}0`])
      expect(await runVerifyScript(bundle, tools, wrong)).toMatchObject({ code: 1 });
    const shouted = pin.toUpperCase().replaceAll(/(..)(?=.)/g, '$1:');
    expect(await runVerifyScript(bundle, tools, shouted)).toMatchObject({ code: 0 });
  });

  test(
    `agree on findings in ${DAMAGED_BUNDLES} damaged bundles`,
    async () => {
      const { store, pin } = await makeEvidence('small-archive', [5, 6]);
      const whole = join(folder, 'whole');
      await exportTo(store, whole, { filters: { repo: { owner: 'octo-org', repo: 'repo-1' } } });
      expect(filesOf(whole).filter((file) => file.endsWith('.log.gz'))).toHaveLength(4);
      const disagreed: string[] = [];
      await sideBySide(DAMAGED_BUNDLES, async (index) => {
        const damage = DAMAGES[index % DAMAGES.length];
        if (damage === undefined) throw new Error('no such damage');
        const bundle = join(folder, `damaged-${index}`);
        cpSync(whole, bundle, { recursive: true });
        damage.apply(bundle, chanceOf(index));
        const { script, product, codes } = await judged(bundle, pin);
        if (codes.join() === '4,4') return;
        disagreed.push(`${index} ${damage.name}: ${codes.join()}\n${script.output}\n${product.output}`);
      });
      expect(disagreed).toEqual([]);
    },
    DAMAGED_TIMEOUT_MS,
  );

  test('agree on a job that was erased, and on one of which nobody says so', async () => {
    const { store, ledger, pin } = await makeEvidence('erased-archive', [4]);
    const archive = join(folder, 'erased-archive');
    const [named = '', unnamed = ''] = filesOf(archive).filter((file) => file.startsWith('v1/logs/'));
    const object = { key: named, version_id: null, sha256: sha256Of(readFileSync(join(archive, named))) };
    const custody = {
      schema: 'everlog.custody/v1',
      id: '20200121T000000000Z-ab',
      action: 'purge',
      at: '2020-01-21T00:00:00.000Z',
      who: { name: 'operator', known_by: 'os_user', authenticated: false },
      reason: 'a token in it',
      case: null,
      scope: {},
      objects: [object],
      result: {},
      archiver: { name: 'everlog', version: '0.0.0' },
    };
    const key = 'v1/custody/dt=2020-01-21/20200121T000000000Z-ab.json';
    await put(store, key, Buffer.from(`${JSON.stringify(custody)}\n`));
    await ledger.seal(momentOf(20), [key]);
    rmSync(join(archive, named));
    await exportTo(store, join(folder, 'erased'));
    const sound = await judged(join(folder, 'erased'), pin);
    expect(sound.codes).toEqual([0, 0]);
    for (const { output } of [sound.script, sound.product]) expect(output).toContain(`ERASED ${named}`);

    rmSync(join(archive, unnamed));
    await exportTo(store, join(folder, 'lost'));
    const unsound = await judged(join(folder, 'lost'), pin);
    expect(unsound.codes).toEqual([4, 4]);
  });

  test.each(Object.entries(HOSTILE_BUNDLES))(
    'take what is in a bundle for data: %s',
    async (name, change) => {
      const { store, pin } = await makeEvidence(`hostile-archive-${name}`, [2]);
      const bundle = join(folder, `hostile-${name}`);
      await exportTo(store, bundle);
      const mark = join(folder, `mark-${name}`);
      change(bundle, mark);
      const { script, product, codes } = await judged(bundle, pin);
      expect(codes, `${script.output}\n${product.output}`).toEqual([4, 4]);
      expect(script.output).not.toContain('broke off');
      expect(script.output).toMatch(/^[\n -~]*$/);
      expect(existsSync(mark)).toBe(false);
    },
  );
});

function editJson(file: string, edit: (value: Record<string, unknown>) => unknown): void {
  writeFileSync(file, `${JSON.stringify(edit(JSON.parse(readFileSync(file, 'utf8'))))}\n`);
}
