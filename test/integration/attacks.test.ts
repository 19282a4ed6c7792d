import { cpSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ATTACKS, MARK, sealJob, type Attack } from '../support/oracles/attacks.ts';
import { makeBundle } from '../support/oracles/bundle-maker.ts';
import { expectDocumented } from '../support/oracles/documented-table.ts';
import { folderPut, LedgerMaker, makeKey } from '../support/oracles/ledger-maker.ts';
import {
  makeToolFolder,
  runVerify,
  runVerifyScript,
  type Verdict,
} from '../support/harness/bundle-under-test.ts';
import { verifyFolder } from '../support/harness/verify-under-test.ts';
import { removeTemporaryFolder, spawnEverlog, temporaryFolder } from '../support/processes/processes.ts';

/**
 * Every attack on an archive and on a bundle, and how `verify` and `verify.sh` end. What comes of it is the table in
 * `docs/evidence.md`, which has to be what this says: run with `EVERLOG_WRITE_DOCS=1` to write it anew.
 */

const HOUR_MS = 3_600_000;
const ATTACK_TIMEOUT_MS = 60_000;
const TABLE = {
  file: 'docs/evidence.md',
  begin: '<!-- attacks: made by test/integration/attacks.test.ts -->',
  end: '<!-- /attacks -->',
};
/** Not told in the table: they are so without any attack. */
const REMARKS = new Set(['UNANCHORED', 'RELOCATED']);

let folder: string;
let tools: string;
const rows = new Map<string, readonly string[]>();

beforeAll(async () => {
  folder = temporaryFolder('everlog-attacks-');
  tools = await makeToolFolder(join(folder, 'tools'));
});
afterAll(() => removeTemporaryFolder(folder));

interface Scene {
  readonly archive: string;
  readonly bundle: string;
  readonly pin: string;
}

interface Played extends Scene {
  readonly maker: LedgerMaker;
}

/** The archive before the files are tampered with, and a bundle of it. */
async function play(attack: Attack, name: string): Promise<Played> {
  const [archive, bundle] = [join(folder, `${name}-archive`), join(folder, `${name}-bundle`)];
  const startMs = Date.now() - (attack.digests ?? 2) * HOUR_MS;
  const { sealsKeys = true } = attack;
  const maker = new LedgerMaker(folderPut(archive), { archive: `file:${archive}`, startMs, sealsKeys });
  const { id: pin } = await maker.addKey();
  await maker.addJob();
  await sealJob(maker);
  await (attack.seal === undefined ? sealJob(maker) : attack.seal(maker, archive));
  makeBundle(archive, bundle);
  return { archive, bundle, pin, maker };
}

/** The exit code with the words that led to it. */
function told(code: number | null, words: Iterable<string>): string {
  const distinct = [...new Set(words)].filter((word) => !REMARKS.has(word)).sort();
  return [String(code), ...distinct.map((word) => `\`${word}\``)].join(' ');
}

function wordsOf({ output }: Verdict): string[] {
  return output.split('\n').flatMap((line) => /^([A-Z_]{3,}) /.exec(line)?.[1] ?? []);
}

type Ended = readonly [code: number, words: readonly string[]];

async function onArchive(attack: Attack, { archive, pin, maker }: Played): Promise<Ended | null> {
  if (attack.archive === null) return null;
  attack.tamper?.(archive, maker);
  const { results, summary } = await verifyFolder(archive, { pinnedKeyId: pin });
  return [summary.findings > 0 ? 4 : 0, results.map(({ result }) => result)];
}

/** By `verify`, and by `verify.sh`. */
async function onBundle(
  attack: Attack,
  { bundle, pin, maker }: Played,
): Promise<readonly [Ended | null, Ended | null]> {
  if (attack.bundle === null) return [null, null];
  attack.tamper?.(bundle, maker);
  const product = await runVerify(bundle, folder, pin);
  const script = await runVerifyScript(bundle, tools, pin);
  return [
    [product.code ?? -1, wordsOf(product)],
    [script.code ?? -1, wordsOf(script)],
  ];
}

test.each(ATTACKS.map((attack, index) => [attack.name, attack, index] as const))(
  '%s',
  async (name, attack, index) => {
    const played = await play(attack, String(index));
    const ended = [await onArchive(attack, played), ...(await onBundle(attack, played))];
    const cells = ended.map((it) => (it === null ? '' : told(...it)));
    rows.set(name, [attack.about, name, ...cells]);
    const codes = ended.map((it) => it?.[0] ?? null);
    expect(codes, `said: ${cells.join('; ')}`).toEqual([attack.archive, attack.bundle, attack.bundle]);
    expect(existsSync(join(played.bundle, MARK))).toBe(false);
  },
  ATTACK_TIMEOUT_MS,
);

/** What is asked for in a way that nothing, or nothing from outside, would be checked. */
const QUESTIONS: readonly (readonly [string, number, (scene: Scene) => readonly string[]])[] = [
  ['the window lies before the ledger', 3, ({ archive }) => ['--archive', archive, '--to', '2016-11-20']],
  ['the window lies after the ledger', 3, ({ archive }) => ['--archive', archive, '--from', '2062-11-20']],
  ['the anchor is the archive', 2, ({ archive }) => ['--archive', archive, '--anchor', archive]],
  [
    'the anchor is a note of the archive',
    2,
    ({ archive }) => ['--archive', archive, '--anchor', `${archive}/ledger/checkpoints/0000000002.note`],
  ],
  ['a bundle is given as an archive', 2, ({ bundle }) => ['--archive', bundle]],
  ['an archive is given as a bundle', 2, ({ archive }) => ['--bundle', archive]],
  ['there is no archive', 3, ({ archive }) => ['--archive', `${archive}/nothing/here`]],
  [
    'the whole ledger was deleted, and the key is pinned',
    4,
    ({ archive, pin }) => {
      const bare = `${archive}-bare`;
      cpSync(archive, bare, { recursive: true });
      rmSync(join(bare, 'ledger'), { recursive: true });
      return ['--archive', bare, '--key', pin];
    },
  ],
];

test(
  'what would check nothing does not end well',
  async () => {
    const scene = await play({ about: '', name: '', archive: 0, bundle: 0 }, 'asked');
    for (const [name, code, args] of QUESTIONS) {
      const child = spawnEverlog(['verify', ...args(scene)], {});
      const ended = await child.exited;
      expect({ name, code: ended.code }, `said: ${child.stderr()}`).toEqual({ name, code });
      rows.set(name, ['asked', name, told(ended.code, wordsOf({ code, output: child.stdout() })), '', '']);
    }
  },
  ATTACK_TIMEOUT_MS,
);

test(
  'a bundle whose asked window holds but a key has entries of records all the same',
  async () => {
    const seal = async (maker: LedgerMaker): Promise<void> => {
      await maker.addKey(makeKey());
      await maker.seal();
    };
    const { bundle, pin, maker } = await play({ about: '', name: '', archive: 0, bundle: 0, seal }, 'key');
    const from = new Date(maker.nowMs - 60_000).toISOString();
    const child = spawnEverlog(['verify', '--bundle', bundle, '--key', pin, '--from', from], {});
    const ended = await child.exited;
    expect(ended.code).toBe(0);
  },
  ATTACK_TIMEOUT_MS,
);

test(`the table in ${TABLE.file} says the same`, () => {
  expectDocumented(TABLE, [
    ['', 'attack', 'archive: `verify`', 'bundle: `verify`', 'bundle: `verify.sh`'],
    ...rows.values(),
  ]);
});
