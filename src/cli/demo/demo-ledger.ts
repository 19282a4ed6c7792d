import { tmpdir } from 'node:os';
import type { ObjectStore } from '../../store/object-store.ts';
import { isFinding } from '../../ledger/verify/results.ts';
import { verifyLedger } from '../../ledger/verify/verify.ts';
import type { Service } from '../../service/service.ts';

/** The demo's ledger: what was sealed, and what an independent look at the archive's files says of it. */
export interface DemoLedger {
  readonly sequence: number;
  /** Records, run and custody objects in the digest. */
  readonly entries: number;
  readonly sha256: string;
  readonly keyId: string;
  /** Counts of the verification, which reads every byte. */
  readonly verified: { readonly digests: number; readonly objects: number; readonly bytes: number };
  /** Empty when all is as it should be. */
  readonly problems: readonly string[];
}

/** Has the service append a digest, and verifies the archive by the key that signed it. */
export async function sealAndVerify(
  seal: NonNullable<Service['seal']>,
  store: ObjectStore,
): Promise<DemoLedger> {
  const report = await seal({ final: false });
  if (report.outcome !== 'sealed') throw new Error(`the demo's ledger is ${report.outcome}`);
  const { sequence, entries, sha256, keyId, findings } = report;
  const problems = findings.map(({ kind, key, detail }) => `${kind} ${key}: ${detail}`);
  const summary = await verifyLedger({
    store,
    isBundle: false,
    strays: null,
    level: 'bytes',
    sample: null,
    range: { fromMs: null, toMs: null },
    selection: null,
    pinnedKeyId: keyId,
    anchor: null,
    temporaryFolder: tmpdir(),
    now: () => new Date(),
    random: Math.random,
    onPlan: () => Promise.resolve(),
    onResult: (result) => {
      if (isFinding(result)) problems.push(`${result.result} ${result.key}: ${result.detail}`);
      return Promise.resolve();
    },
    onProgress: () => undefined,
  });
  const { digests, objects, bytes } = summary;
  if (summary.last_sequence !== sequence)
    problems.push(`the ledger ends with digest ${summary.last_sequence}, and ${sequence} was sealed`);
  return { sequence, entries, sha256, keyId, verified: { digests, objects, bytes }, problems };
}
