import { randomBytes } from 'node:crypto';
import { addMissedCommits } from './missed-commits.ts';
import type { ObjectStore } from '../../store/object-store.ts';
import { proxyAgents } from '../../store/s3/proxy.ts';
import type { Config } from '../../config.ts';
import { EverlogError, messageOf, type ErrorCode } from '../../errors.ts';
import { seal, type SealedReport, type SealOptions, type SealReport } from '../../ledger/seal/seal.ts';
import type { TimeStamper } from '../../ledger/ports.ts';
import { timeStampOverHttp } from '../../ledger/witness/time-stamp-http.ts';
import { openTimeStamper } from '../../ledger/witness/time-stamp.ts';
import type { Log } from '../../logger.ts';
import { openAccounting } from '../../reconcile/accounting.ts';
import { noteDigest } from '../../queue/digest-note.ts';
import { noteSealFindings } from '../../queue/noted/seal-findings.ts';
import type { JobQueue } from '../../queue/job-queue.ts';
import { openArchive } from '../archive.ts';
import { openSigner, type OpenSigner } from './signing.ts';

/** The sealer of a process: everything that the ledger needs, opened when it is first needed. */
export interface Sealing {
  /**
   * Appends a digest; see `seal` of the ledger for what it throws.
   * @throws EverlogError of the signing key or the anchor as well, which are tried again at the next seal
   */
  readonly seal: (options: SealOptions) => Promise<SealReport>;
  /** Opens the signing key now, so that a mistake in the settings is told at the start; other trouble is only logged. */
  tryKey(): Promise<void>;
  close(): Promise<void>;
}

/** What a process has to do with its sealer. */
export interface SealingHooks {
  /** Ends a seal before its next digest. */
  readonly signal?: AbortSignal;
  /** Told of every seal that this process makes. */
  readonly onSealed?: (report: SealReport) => void;
}

/** What nobody but whoever wrote the settings can mend. */
const MISTAKES: ReadonlySet<ErrorCode> = new Set(['config_invalid', 'signing_key_invalid']);

/** Opens the sealer; null where no signing key is set. */
export function openSealing(
  config: Config,
  queue: JobQueue,
  store: ObjectStore,
  log: Log,
  hooks: SealingHooks = {},
): Sealing | null {
  const setting = config.sealing.signingKey;
  if (setting === null) return null;
  const now = (): Date => new Date();
  const key = once<OpenSigner>(() => openSigner(setting, config, store));
  const anchor = once(() => openAnchor(config));
  return {
    async seal(options) {
      const { signer } = await key.get();
      await addMissedCommits({ store, pending: queue.pending, notes: queue.notes, now });
      const report = await seal(
        {
          store,
          signer,
          pending: queue.pending,
          accounting: openAccounting(queue, now),
          notes: queue.notes,
          anchor: await anchor.get(),
          timeStamp: openTimeStamps(config),
          storage: {
            lockMode: config.s3.lockMode,
            retentionDays: config.s3.retentionDays,
            queueDurability: queue.durability,
          },
          intervalMs: config.sealing.intervalMs,
          spoolFolder: config.spoolFolder,
          now,
          randomBytes: (count) => randomBytes(count),
          log,
          onFindings: (where, count) => noteSealFindings(queue.notes, where, count, now()),
        },
        hooks.signal === undefined ? options : { signal: hooks.signal, ...options },
      );
      hooks.onSealed?.(report);
      if (report.outcome === 'sealed') await noteSealed(queue, report, now(), log);
      return report;
    },
    async tryKey() {
      try {
        await key.get();
      } catch (error) {
        if (error instanceof EverlogError && MISTAKES.has(error.code)) throw error;
        // Logs are archived all the same: what is committed meanwhile waits for its digest.
        log.error({ error: messageOf(error) }, 'the signing key cannot be used: every seal tries it again');
      }
    },
    async close() {
      key.standing()?.close();
      await anchor.standing()?.close();
    },
  };
}

/** A digest that stands is no failure, and its findings are told, although the metrics cannot be told of it. */
async function noteSealed(
  { notes }: JobQueue,
  { sequence }: SealedReport,
  at: Date,
  log: Log,
): Promise<void> {
  try {
    await noteDigest(notes, { sequence, at });
  } catch (error) {
    log.warn(
      { sequence, error: messageOf(error) },
      'the digest stands, and could not be noted for the metrics',
    );
  }
}

function openTimeStamps({ sealing, proxies }: Config): TimeStamper | null {
  if (sealing.timeStampUrl === null) return null;
  const agents = proxyAgents(proxies);
  const url = new URL(sealing.timeStampUrl);
  const post = timeStampOverHttp({ url, ...(agents === undefined ? {} : { agents }) });
  return openTimeStamper({ post, randomBytes: (count) => randomBytes(count) });
}

/** The second place takes what it is given as it is: its own bucket decides on locks, keys and classes. */
async function openAnchor(config: Config): Promise<ObjectStore | null> {
  const { proxies, s3, sealing } = config;
  if (sealing.anchor === null) return null;
  const plain = { lockMode: 'none', retentionDays: null, kmsKeyId: null, logStorageClass: null } as const;
  return openArchive({ proxies, s3: { ...s3, ...plain } }, sealing.anchor);
}

/** Something that is opened when it is first needed, and tried again when that failed. */
function once<T>(open: () => Promise<T>): { get(): Promise<T>; standing(): T | undefined } {
  let opening: Promise<T> | null = null;
  let opened: T | undefined;
  return {
    async get() {
      opening ??= open();
      try {
        opened = await opening;
        return opened;
      } catch (error) {
        opening = null;
        throw error;
      }
    },
    standing: () => opened,
  };
}
