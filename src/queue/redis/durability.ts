import type { Redis } from 'ioredis';
import { curable, messageOf } from '../../errors.ts';
import type { Log } from '../../logger.ts';
import type { QueueDurability, Weakness } from '../queue-storage.ts';

/** What a server says of what it keeps. Null: it does not tell. */
export interface ServerFacts {
  readonly evictionPolicy: string | null;
  readonly appendOnly: boolean | null;
  /** `always`, `everysec` or `no`; only CONFIG tells it. */
  readonly fsync: string | null;
  readonly snapshots: boolean | null;
  /** Whether another server may take its place: it has replicas, or is reached through Sentinels. */
  readonly replicated: boolean;
  /** Whether CONFIG may be read. */
  readonly configReadable: boolean;
}

/** What is to be thought of a server: how durable it is, and what is wrong and weak about it. */
export interface DurabilityJudgement {
  readonly durability: QueueDurability;
  /** What refuses it, unless that is allowed (DESIGN decision 11). */
  readonly problems: readonly string[];
  /** What does not refuse it, and is said. */
  readonly weaknesses: readonly Weakness[];
}

/** Judges a server by what it says: evicting keys or keeping nothing on disk is refused, not to tell is unknown. */
export function judgeServer(facts: ServerFacts): DurabilityJudgement {
  const { evictionPolicy, appendOnly, snapshots, fsync, configReadable } = facts;
  const problems: string[] = [];
  const weaknesses: Weakness[] = [];
  if (evictionPolicy !== null && evictionPolicy !== 'noeviction') {
    const where = configReadable ? '' : " (a managed server: in its parameter group, as 'maxmemory-policy')";
    problems.push(`maxmemory-policy is ${evictionPolicy}: it may evict jobs; set it to noeviction${where}`);
  }
  if (appendOnly === false && configReadable) {
    const kept = snapshots === true ? 'only snapshots are kept on disk' : 'nothing is kept on disk';
    problems.push(`appendonly is no and ${kept}: a restart loses jobs; set appendonly to yes`);
  }
  if (!configReadable) {
    const known =
      appendOnly === true
        ? 'keeps an append-only file'
        : appendOnly === false
          ? 'keeps no append-only file'
          : null;
    const info = known === null ? '' : `; INFO says that it ${known}`;
    weaknesses.push({
      what: `it does not tell how durable it is, as CONFIG is forbidden${info}`,
      cure: 'see at your provider that it has persistence on and maxmemory-policy noeviction',
    });
  }
  if (appendOnly === true && fsync === 'no')
    weaknesses.push({
      what: 'appendfsync is no: what it acknowledges is lost when its machine crashes before it is written',
      cure: 'set appendfsync to everysec or always',
    });
  if (facts.replicated)
    weaknesses.push({
      what: 'replication is asynchronous: a failover may lose the jobs acknowledged in its last moments',
      cure: 'nothing to mend: keep reconcile on, which finds again what a failover forgot',
    });
  if (problems.length > 0) return { durability: 'unsafe', problems, weaknesses };
  if (!configReadable) return { durability: 'unknown', problems, weaknesses };
  return { durability: fsync === 'no' ? 'unsafe' : 'persistent', problems, weaknesses };
}

/** Asks a server for what it keeps: by CONFIG, and where that is forbidden, as on managed servers, by INFO. */
export async function readServerFacts(connection: Redis, bySentinel: boolean): Promise<ServerFacts> {
  const info = infoFields(await connection.info());
  const policy = await setting(connection, 'maxmemory-policy');
  const appendOnly = await setting(connection, 'appendonly');
  const save = await setting(connection, 'save');
  const aof = info.get('aof_enabled');
  return {
    evictionPolicy: policy ?? info.get('maxmemory_policy') ?? null,
    appendOnly: appendOnly === null ? (aof === undefined ? null : aof === '1') : appendOnly === 'yes',
    fsync: await setting(connection, 'appendfsync'),
    snapshots: save === null ? null : save !== '',
    replicated: bySentinel || Number(info.get('connected_slaves') ?? 0) > 0,
    configReadable: policy !== null,
  };
}

/**
 * Refuses a server that may lose jobs, unless that is allowed.
 * @throws EverlogError `queue_unsafe` (give up)
 */
export function requireDurable(
  { problems }: DurabilityJudgement,
  { location, allowUnsafe }: { readonly location: string; readonly allowUnsafe: boolean },
): void {
  if (problems.length === 0 || allowUnsafe) return;
  throw curable(
    'queue_unsafe',
    'give_up',
    `the queue server ${location} may lose jobs: ${problems.join(' · ')}`,
    'set what is named there, or EVERLOG_ALLOW_UNSAFE_QUEUE=true to start all the same',
  );
}

/** Says what is weak about a server that is used, and what was allowed. */
export function tellDurability(
  { problems, weaknesses }: DurabilityJudgement,
  { location, log }: { readonly location: string; readonly log: Log },
): void {
  if (problems.length > 0)
    log.warn(
      { queue: location, problems },
      'the queue server may lose jobs: allowed by EVERLOG_ALLOW_UNSAFE_QUEUE',
    );
  for (const { what, cure } of weaknesses)
    log.warn(
      { queue: location, weakness: what, cure },
      'the queue server may forget jobs: reconcile finds them again',
    );
}

/** A server setting; null where CONFIG is forbidden. */
async function setting(connection: Redis, name: string): Promise<string | null> {
  try {
    const answer: unknown = await connection.config('GET', name);
    const value: unknown = Array.isArray(answer) ? answer[1] : null;
    return typeof value === 'string' ? value : null;
  } catch (error) {
    if (/unknown command|NOPERM|not allowed|disabled/i.test(messageOf(error))) return null;
    throw error;
  }
}

function infoFields(info: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const line of info.split(/\r?\n/)) {
    const colon = line.indexOf(':');
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1));
  }
  return fields;
}
