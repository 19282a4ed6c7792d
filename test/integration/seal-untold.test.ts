import { rmSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { recordKey } from '../../src/archive/keys.ts';
import { retryable } from '../../src/errors.ts';
import { seal, type SealDeps } from '../../src/ledger/seal/seal.ts';
import type { SealFinding } from '../../src/ledger/seal-report.ts';
import { openFolderStore } from '../../src/store/folder/folder-object-store.ts';
import type { ObjectStore } from '../../src/store/object-store.ts';
import { put } from '../support/oracles/archived-jobs.ts';
import { demandAllSealed, folderFiles, readLedger } from '../support/oracles/ledger-oracle.ts';
import { scratchStore } from '../support/oracles/scratch-store.ts';
import {
  atTime,
  commitJob,
  memoryQueue,
  sealerOf,
  testFolder,
  type MemoryQueue,
} from '../support/harness/sealing-under-test.ts';

/** What a seal finds is told by the next one that succeeds, wherever and however often seals end before they could tell. */

const ADDRESS = {
  host: 'github.com',
  owner: 'octo-org',
  repo: 'octo-repo',
  runId: 9,
  runAttempt: 1,
  jobId: 1,
};
const NOT_FINAL = { final: false } as const;

/** How a step fails, and whether it takes place all the same, as when only its answer is lost. */
interface Ending {
  readonly takesPlace: boolean;
  /** A killed process takes no further step; otherwise the one step fails. */
  readonly isKill: boolean;
}
interface Ended {
  readonly deps: SealDeps;
  /** Names of the steps taken. */
  readonly steps: string[];
}

/** A sealer that ends at its nth step: any read or write of the store, the queue, the signer and the accounting. */
function endingAt(deps: SealDeps, nth: number, { takesPlace, isKill }: Ending): Ended {
  const steps: string[] = [];
  async function step<T>(name: string, work: () => Promise<T>): Promise<T> {
    steps.push(name);
    const ends = isKill ? steps.length >= nth : steps.length === nth;
    if (!ends) return work();
    if (steps.length === nth && takesPlace) await work();
    throw retryable('store_unavailable', `ended at ${name}`);
  }
  /** To be killed at one is to be killed after the step before it. */
  async function look<T>(name: string, work: () => Promise<T>): Promise<T> {
    if (!isKill) return step(name, work);
    if (steps.length >= nth) throw retryable('store_unavailable', `ended at ${name}`);
    return work();
  }
  const { store, pending, notes, signer, accounting } = deps;
  return {
    steps,
    deps: {
      ...deps,
      store: {
        ...store,
        read: (key) => look(`read ${key}`, () => store.read(key)),
        head: (key) => look(`head ${key}`, () => store.head(key)),
        putIfAbsent: (key, body, options) => step(`put ${key}`, () => store.putIfAbsent(key, body, options)),
        list: async function* (prefix, after) {
          await look(`list ${prefix}`, () => Promise.resolve());
          yield* store.list(prefix, after);
        },
      },
      pending: {
        ...pending,
        mark: () => look('mark', () => pending.mark()),
        setMark: (sequence) => step(`set mark ${sequence}`, () => pending.setMark(sequence)),
        page: (after, limit) => look('page', () => pending.page(after, limit)),
        remove: (keys) => step('remove', () => pending.remove(keys)),
      },
      notes: {
        ...notes,
        note: (name, text, ms) => step(`note ${name}`, () => notes.note(name, text, ms)),
        noted: (names) => look(`noted ${names.join()}`, () => notes.noted(names)),
        setField: (table, field, text) =>
          step(`${text === null ? 'forget' : 'set'} ${table}`, () => notes.setField(table, field, text)),
        fields: (table) => look(`fields ${table}`, () => notes.fields(table)),
        // The claim of a sealer that died runs out by itself.
        release: async (name, holder) => {
          await notes.release(name, holder);
          await step('release', () => Promise.resolve());
        },
      },
      signer: { ...signer, sign: (bytes) => look('sign', () => signer.sign(bytes)) },
      accounting: { read: () => look('accounting', () => accounting.read()) },
    },
  };
}

/** Opens a sealer of its own on a queue and an archive as they were made. */
type OpenSite = () => SealDeps;

/** An archive and a queue that are made once for many tries. */
async function siteOf(
  make: (site: { folder: string; store: ObjectStore; queue: MemoryQueue; deps: SealDeps }) => Promise<void>,
): Promise<OpenSite> {
  const folder = testFolder();
  const store = await openFolderStore({ folder });
  const queue = memoryQueue();
  const deps = sealerOf(store, queue);
  await make({ folder, store, queue, deps });
  return () => {
    const { pending, notes } = queue.copy();
    return { ...deps, store: atTime(scratchStore(store), deps.now), pending, notes };
  };
}

/** A ledger of two digests whose second was taken away with all that it alone had sealed. */
const cutLedger = (): Promise<OpenSite> =>
  siteOf(async ({ folder, store, queue, deps }) => {
    await commitJob(store, queue, 1);
    await seal(deps, NOT_FINAL);
    const second = await commitJob(store, queue, 2);
    await seal(deps, NOT_FINAL);
    for (const key of ['ledger/digests/0000000002', 'ledger/checkpoints/0000000002.note', second])
      rmSync(join(folder, key), { recursive: true });
    await commitJob(store, queue, 4);
  });

/** A committed run object that is none: no digest has a gap line for it. */
const unreadableRun = (): Promise<OpenSite> =>
  siteOf(async ({ store, queue, deps }) => {
    await seal(deps, NOT_FINAL);
    await commitJob(store, queue, 1);
    const run = 'v1/runs/host=github.com/owner=octo-org/repo=octo-repo/1/1.json';
    await put(store, run, Buffer.from('no run'));
    await queue.pending.add([run]);
  });

async function findingsOf(deps: SealDeps): Promise<readonly SealFinding[] | 'failed'> {
  try {
    const report = await seal(deps, NOT_FINAL);
    return report.outcome === 'busy' ? 'failed' : report.findings;
  } catch {
    return 'failed';
  }
}

const KILLED_AFTER = { takesPlace: true, isKill: true } satisfies Ending;
const STEP_FAILS = { takesPlace: false, isKill: false } satisfies Ending;

const TRIES: readonly (readonly [string, SealFinding['kind'], string, Ending, () => Promise<OpenSite>])[] = [
  ['cut', 'ledger_cut', 'killed before it', { takesPlace: false, isKill: true }, cutLedger],
  ['cut', 'ledger_cut', 'killed after it', KILLED_AFTER, cutLedger],
  ['cut', 'ledger_cut', 'the step fails', STEP_FAILS, cutLedger],
  ['cut', 'ledger_cut', 'its answer is lost', { takesPlace: true, isKill: false }, cutLedger],
  ['unreadable', 'object_unreadable', 'killed after it', KILLED_AFTER, unreadableRun],
  ['unreadable', 'object_unreadable', 'the step fails', STEP_FAILS, unreadableRun],
];
/** That it is told once takes a further seal, which not each try needs. */
const AGAIN_EACH = 5;

it.each(TRIES)(
  '%s: %s is told by the next seal that succeeds, %s',
  async (_name, kind, _how, ending, make) => {
    const open = await make();
    let wasEnded = true;
    let nth = 0;
    while (wasEnded) {
      nth += 1;
      const deps = open();
      // Two in a row that end at other steps, then one that does not.
      const first = endingAt(deps, nth, ending);
      const second = endingAt(deps, 1 + ((nth * 7) % 23), ending);
      let told = await findingsOf(first.deps);
      if (told === 'failed') told = await findingsOf(second.deps);
      if (told === 'failed') told = await findingsOf(deps);
      const steps = `${first.steps.at(nth - 1) ?? 'no step'}, then ${second.steps.at(-1) ?? 'none'}`;
      const isAskedAgain = nth % AGAIN_EACH === 0;
      if (isAskedAgain) await findingsOf(deps);
      const again = isAskedAgain ? await findingsOf(deps) : [];
      expect({ steps, told, again }).toEqual({ steps, told: [expect.objectContaining({ kind })], again: [] });
      wasEnded = first.steps.length >= nth;
    }
    expect(nth).toBeGreaterThan(ending.isKill ? 12 : 40);
  },
);

it('digests that were cut off are told although the pending commits were dropped with their mark', async () => {
  const deps = (await cutLedger())();
  const dropped = { ...deps, pending: { ...deps.pending, mark: () => Promise.resolve(null) } };
  expect(await findingsOf(dropped)).toMatchObject([{ kind: 'ledger_cut' }]);
});

it('a digest in whose place another was made is told, and all that it sealed is sealed again', async () => {
  const folder = testFolder();
  const store = await openFolderStore({ folder });
  const queue = memoryQueue();
  const deps = sealerOf(store, queue);
  await seal(deps, NOT_FINAL);
  const second = await commitJob(store, queue, 2);
  await seal(deps, NOT_FINAL);
  for (const key of ['ledger/digests/0000000002', 'ledger/checkpoints/0000000002.note'])
    rmSync(join(folder, key), { recursive: true });
  // The sealer of another queue knows of nothing: it goes on from the first digest, as if no time had passed.
  const another = memoryQueue();
  await another.pending.setMark(1);
  await seal({ ...deps, pending: another.pending, notes: another.notes }, NOT_FINAL);
  expect((await readLedger(folderFiles(folder))).sealed).not.toContain(second);
  expect(await findingsOf(deps)).toEqual([
    {
      kind: 'ledger_cut',
      key: 'ledger/digests/0000000002/digest.json',
      detail: expect.stringContaining('digest 2 was committed and is gone'),
    },
  ]);
  await demandAllSealed(folderFiles(folder));
  expect(await findingsOf(deps)).toEqual([]);
});

it('what was found by the seal that closed the ledger, and was then killed, is told by the next', async () => {
  const deps = (await cutLedger())();
  const digest = 'ledger/digests/0000000002/digest.json';
  const closing: SealDeps = {
    ...deps,
    store: {
      ...deps.store,
      putIfAbsent: async (key, body, options) => {
        const stored = await deps.store.putIfAbsent(key, body, options);
        if (key === digest) throw retryable('store_unavailable', 'killed');
        return stored;
      },
    },
  };
  await expect(seal(closing, { final: true })).rejects.toThrow('killed');
  const report = await seal(deps, NOT_FINAL);
  expect(report).toMatchObject({
    outcome: 'closed',
    sequence: 2,
    findings: [{ kind: 'ledger_cut', key: digest, detail: expect.stringContaining('an earlier seal') }],
  });
  expect(await findingsOf(deps)).toEqual([]);
});

it('all that a replaced digest had sealed is sealed again, though the seal that began with it was killed', async () => {
  const folder = testFolder();
  const store = await openFolderStore({ folder });
  const queue = memoryQueue();
  const deps = sealerOf(store, queue);
  await seal(deps, NOT_FINAL);
  const keys = [await commitJob(store, queue, 1), await commitJob(store, queue, 2)];
  await seal(deps, NOT_FINAL);
  const longAgo = new Date(Date.now() - 7 * 24 * 3_600_000);
  for (const key of keys) utimesSync(join(folder, key), longAgo, longAgo);
  for (const key of ['ledger/digests/0000000002', 'ledger/checkpoints/0000000002.note'])
    rmSync(join(folder, key), { recursive: true });
  const another = memoryQueue();
  await another.pending.setMark(1);
  await seal({ ...deps, pending: another.pending, notes: another.notes }, NOT_FINAL);
  const stop = new AbortController();
  const stopping: SealDeps = {
    ...deps,
    store: {
      ...deps.store,
      putIfAbsent: async (key, body, options) => {
        const stored = await deps.store.putIfAbsent(key, body, options);
        if (key.endsWith('.note')) stop.abort();
        return stored;
      },
    },
  };
  const begun = seal(stopping, { final: false, entriesMax: 1, signal: stop.signal });
  await expect(begun).rejects.toMatchObject({ code: 'ledger_busy' });
  expect(await findingsOf(deps)).toMatchObject([{ kind: 'ledger_cut' }]);
  await demandAllSealed(folderFiles(folder));
  expect(await findingsOf(deps)).toEqual([]);
});

it('a cut comes first, however much else is found by the seal that tells of it', async () => {
  const deps = (await cutLedger())();
  const putIfAbsent: ObjectStore['putIfAbsent'] = async (key, body, options) => {
    const stored = await deps.store.putIfAbsent(key, body, options);
    if (key.startsWith('ledger/checkpoints/')) throw retryable('store_unavailable', 'killed');
    return stored;
  };
  expect(await findingsOf({ ...deps, store: { ...deps.store, putIfAbsent } })).toBe('failed');
  const missing = Array.from({ length: 1_200 }, (_, index) => recordKey({ ...ADDRESS, jobId: index + 1 }, 1));
  await deps.pending.add(missing);
  const report = await seal(deps, NOT_FINAL);
  expect(report).toMatchObject({ findingCount: 1_201 });
  const found = report.outcome === 'sealed' ? report.findings : [];
  expect(found[0]?.kind).toBe('ledger_cut');
  expect(found).toHaveLength(1_001);
  expect(Object.keys(await deps.notes.fields('ledger-untold'))).toEqual([]);
});
