import { createHash } from 'node:crypto';
import { revocationKey, signingKeyKey } from '../../archive/keys.ts';
import { compareKeys } from '../../store/object-key.ts';
import { strayFrom, UNSIGNED_REVOCATION, type SigningKey } from '../keys/key-files.ts';
import type { SealFinding } from '../seal-report.ts';
import type { SealCandidate } from './seal-candidates.ts';

/** The files of keys and revocations that may have to be sealed, found by what stands there and not by a pending key. */
export interface KeyCandidates {
  /** Ascending. */
  readonly candidates: readonly SealCandidate[];
  /** Known again by: the same keys and revocations of the same ledger have the same. */
  readonly mark: string;
  /** Files that get no entry. */
  readonly findings: readonly SealFinding[];
}

/** Which queue note says that the keys with that mark are all sealed. */
export const KEYS_NOTE = 'ledger-keys';

/**
 * What is to be sealed of a ledger's keys by a sealer whose key is `signerId`: a key or revocation that nobody entitled signed
 * gets no entry, and neither does a successor of a revoked key that is of another line than the sealer's and the revoker's.
 */
export function keyCandidates(keys: readonly SigningKey[], signerId: string, stream: string): KeyCandidates {
  const wanted: string[] = [];
  const findings: SealFinding[] = [];
  const refuse = (key: string, detail: string): void =>
    void findings.push({ kind: 'key_refused', key, detail });
  for (const key of keys) {
    const { keyId, problem, revoked } = key;
    const stray = strayFrom(keys, keyId, signerId);
    if (problem === UNSIGNED_REVOCATION) refuse(revocationKey(keyId), problem);
    else if (problem !== null) {
      refuse(signingKeyKey(keyId), problem);
      continue;
    }
    if (stray === null) wanted.push(signingKeyKey(keyId));
    else refuse(signingKeyKey(keyId), stray.problem);
    if (revoked !== null) wanted.push(revocationKey(keyId));
  }
  wanted.sort(compareKeys);
  const mark = createHash('sha256')
    .update([stream, ...wanted].join('\n'))
    .digest('hex');
  const candidates = wanted.map((key) => ({ key, modifiedMs: null, isPending: false }));
  return { candidates, mark, findings };
}
