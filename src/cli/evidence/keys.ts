import type { Command } from 'commander';
import { openArchive } from '../../service/archive.ts';
import { openStandingArchive } from '../../service/standing-archive.ts';
import {
  listKeys,
  revoke,
  rotateTo,
  type NextKey,
  type SigningKey,
} from '../../service/sealing/signing-key-change.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { loadConfig } from '../../config.ts';
import { giveUp } from '../../errors.ts';
import { EXIT } from '../exit.ts';
import { formatMoment, parseMoment } from '../terminal/format.ts';
import { inertText } from '../../log/terminal-sanitiser.ts';
import { archiveNamed, type ArchiveOption } from '../read/with-archive.ts';
import { standardTerminal } from '../terminal/standard-terminal.ts';
import { formatTable, type Cell } from '../terminal/table.ts';
import { print, tell } from '../terminal/print.ts';

/** `everlog keys ls|rotate|revoke`: the ledger's signing keys. */

const KMS = 'awskms:';
/** What tells keys apart where a person names one. */
const KEY_ID_PREFIX = /^[0-9a-f]{8,64}$/;

export function registerKeys(program: Command, done: (exit: number) => void): void {
  const keys = program.command('keys').description('the ledger’s signing keys');
  keys
    .command('ls')
    .description('list them, the first one first')
    .option('--archive <url>', 'another archive than EVERLOG_ARCHIVE_URL')
    .option('--json', 'NDJSON')
    .action(async (options: ArchiveOption & { json?: boolean }) => done(await printKeys(options)));
  keys
    .command('rotate')
    .description('make a new key the ledger’s, signed by the one that is set')
    .option('--to <file|awskms:ARN>', 'where the new private key is written, or which KMS key it is')
    .option('--json', 'one JSON document')
    .addHelpText(
      'after',
      '\nThe key of an embedded queue needs no --to: the new one takes its place, and the old one is kept beside it.',
    )
    .action(async (options: { to?: string; json?: boolean }) => done(await rotate(options)));
  keys
    .command('revoke')
    .description('say that a key’s digests are not to be believed any more')
    .argument('<key>', 'its id, or the first eight or more of its characters')
    .requiredOption('--reason <text>', 'why, in one line')
    .option('--at <date>', 'from when on: date, RFC 3339, or a duration ago; default: now')
    .option('--json', 'one JSON document')
    .action(async (key: string, options: RevokeOptions) => done(await revokeOne(key, options)));
}

interface RevokeOptions {
  readonly reason: string;
  readonly at?: string;
  readonly json?: boolean;
}

async function printKeys({ archive, json }: ArchiveOption & { json?: boolean }): Promise<number> {
  const config = loadConfig({});
  return withOpened(openStandingArchive(config, archiveNamed(archive, config)), async (store) => {
    const keys = await listKeys(store);
    if (json === true) for (const key of keys) print(`${JSON.stringify(keyDocument(key))}\n`);
    else if (keys.length === 0) tell('no signing keys: nothing was sealed yet\n');
    else print(keyTable(keys));
    return keys.some(({ problem }) => problem !== null) ? EXIT.findings : EXIT.ok;
  });
}

async function rotate({ to, json }: { to?: string; json?: boolean }): Promise<number> {
  const config = loadConfig({ signingKey: true });
  return withOpened(openArchive(config, config.archive), async (store) => {
    const { key, set, keptAt } = await rotateTo(config, store, nextKey(to));
    if (json === true) {
      const about = { key_id: key.keyId, previous_key_id: key.previousKeyId, not_before: key.notBefore };
      print(`${JSON.stringify({ ...about, set, kept_at: keptAt })}\n`);
      return EXIT.ok;
    }
    print(`new key  ${key.keyId}\nfollows  ${key.previousKeyId ?? 'none'}\n`);
    const next =
      set === null
        ? `The new key has taken the old one’s place, which is kept at ${keptAt ?? ''}.\nRestart the service, so that it seals with the new key.`
        : `Set ${set.variable}=${set.value} wherever digests are sealed, and restart what seals.`;
    print(`${next}\nUntil then digests are sealed with the old key, which stays good.\n`);
    return EXIT.ok;
  });
}

async function revokeOne(key: string, { reason, at, json }: RevokeOptions): Promise<number> {
  if (!KEY_ID_PREFIX.test(key))
    throw giveUp('usage', 'a key is named by its id, or by the first eight or more of its characters');
  const now = new Date();
  const moment = at === undefined ? now : parseMoment(at, now, 'start');
  if (moment === null || moment > now)
    throw giveUp(
      'usage',
      '--at takes a date, an RFC 3339 moment or a duration ago such as 7d, not the future',
    );
  const config = loadConfig({ signingKey: true });
  return withOpened(openStandingArchive(config, config.archive), async (store) => {
    const keyId = await expandKeyId(store, key);
    const { byKeyId } = await revoke(config, store, { keyId, reason, at: moment });
    const revokedAt = moment.toISOString();
    if (json === true)
      print(`${JSON.stringify({ key_id: keyId, revoked_at: revokedAt, reason, by_key_id: byKeyId })}\n`);
    else {
      print(`revoked ${keyId} as of ${revokedAt}\n`);
      if (keyId === byKeyId)
        print('It is the key that is set: nothing is sealed until EVERLOG_SIGNING_KEY names another.\n');
    }
    return EXIT.ok;
  });
}

async function expandKeyId(store: ObjectStore, prefix: string): Promise<string> {
  const found = (await listKeys(store)).filter(({ keyId }) => keyId.startsWith(prefix));
  const [only] = found;
  if (only === undefined)
    throw giveUp('not_found', `the ledger has no key ${prefix}: \`everlog keys ls\` shows them`);
  if (found.length > 1)
    throw giveUp('usage', `${found.length} keys begin with ${prefix}: give more of its characters`);
  return only.keyId;
}

function nextKey(to: string | undefined): NextKey {
  if (to === undefined) return { kind: 'in_place' };
  if (to.startsWith(`${KMS}arn:`)) return { kind: 'kms', arn: to.slice(KMS.length) };
  if (to.trim() === '' || to.startsWith(KMS)) throw giveUp('usage', '--to takes a new FILE or awskms:ARN');
  return { kind: 'file', path: to };
}

async function withOpened(
  opening: Promise<ObjectStore>,
  work: (store: ObjectStore) => Promise<number>,
): Promise<number> {
  const store = await opening;
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

function keyDocument({
  keyId,
  notBefore,
  previousKeyId,
  revoked,
  problem,
}: SigningKey): Record<string, unknown> {
  const revocation =
    revoked === null ? null : { at: revoked.at, reason: revoked.reason, by_key_id: revoked.byKeyId };
  return {
    key_id: keyId,
    not_before: notBefore,
    previous_key_id: previousKeyId,
    revoked: revocation,
    problem,
  };
}

function keyTable(keys: readonly SigningKey[]): string {
  const current = keys.findLast(({ revoked, problem }) => revoked === null && problem === null);
  const stateOf = (key: SigningKey): Cell => {
    if (key.problem !== null) return { text: `✗ ${inertText(key.problem)}`, tone: 'bad' };
    if (key.revoked !== null)
      return { text: `revoked as of ${key.revoked.at}: ${inertText(key.revoked.reason)}`, tone: 'bad' };
    return key === current ? { text: 'last', tone: 'good' } : { text: 'followed' };
  };
  return formatTable(
    [{ title: 'KEY' }, { title: 'SINCE' }, { title: 'STATE', shrinkTo: 12 }],
    keys.map((key) => [{ text: key.keyId }, { text: formatMoment(key.notBefore) }, stateOf(key)]),
    standardTerminal(),
  );
}
