/**
 * Coded errors. An error says what happened (`code`) and what a queue or a caller is to do about it (`remedy`);
 * both are set where the failure arises and never guessed from a message later.
 */

/** What is to be done after a failure. */
export type Remedy =
  /** Passing trouble: try again with backoff; counts as an attempt. */
  | { readonly kind: 'retry' }
  /** Nothing to be done before `until`: put off without counting an attempt. */
  | { readonly kind: 'wait'; readonly until: Date }
  /** Trying again changes nothing until somebody changes something. */
  | { readonly kind: 'give_up' };

/** Every failure Everlog raises itself. */
export type ErrorCode =
  | 'usage'
  | 'config_invalid'
  | 'not_found'
  | 'unauthorised'
  | 'queue_unavailable'
  | 'queue_unsafe'
  | 'queue_locked'
  | 'queue_unsuitable'
  | 'queue_foreign'
  | 'store_unavailable'
  | 'store_refused'
  | 'store_misconfigured'
  | 'store_unsuitable'
  | 'object_corrupt'
  | 'github_unavailable'
  | 'github_refused'
  | 'github_rate_limited'
  | 'github_unexpected'
  | 'installation_suspended'
  | 'installation_gone'
  | 'address_refused'
  | 'log_host_refused'
  | 'log_link_expired'
  | 'log_host_unavailable'
  | 'log_cut'
  | 'spool_full'
  | 'spool_unavailable'
  | 'host_looks_broken'
  | 'job_not_finished'
  | 'log_not_yet'
  | 'job_data_invalid'
  | 'newer_version'
  | 'ledger_damaged'
  | 'ledger_closed'
  | 'clock_differs'
  | 'ledger_busy'
  | 'signing_key_invalid'
  | 'signing_key_unknown'
  | 'signing_key_revoked'
  | 'signing_refused'
  | 'signing_unavailable'
  | 'time_stamp_unavailable'
  | 'web_busy';

const RETRY: Remedy = { kind: 'retry' };
const GIVE_UP: Remedy = { kind: 'give_up' };

/** The one error class. `message` is written for the operator and never holds a secret, token or signed link. */
export class EverlogError extends Error {
  readonly code: ErrorCode;
  readonly remedy: Remedy;
  /** What mends it, where that is known apart; `message` ends in it. */
  readonly cure: string | null;

  constructor(code: ErrorCode, remedy: Remedy, message: string, cause?: unknown, cure: string | null = null) {
    super(cure === null ? message : `${message}: ${cure}`, cause === undefined ? undefined : { cause });
    this.name = 'EverlogError';
    this.code = code;
    this.remedy = remedy;
    this.cure = cure;
  }
}

/** Passing trouble. */
export function retryable(code: ErrorCode, message: string, cause?: unknown): EverlogError {
  return new EverlogError(code, RETRY, message, cause);
}

/** Nothing to do before `until`. */
export function waitUntil(code: ErrorCode, until: Date, message: string, cause?: unknown): EverlogError {
  return new EverlogError(code, { kind: 'wait', until }, message, cause);
}

/** Final until somebody changes something. */
export function giveUp(code: ErrorCode, message: string, cause?: unknown): EverlogError {
  return new EverlogError(code, GIVE_UP, message, cause);
}

/** A failure whose cure is known, and told apart where there is a place for it. */
export function curable(
  code: ErrorCode,
  kind: 'retry' | 'give_up',
  what: string,
  cure: string | null,
  cause?: unknown,
): EverlogError {
  return new EverlogError(code, kind === 'retry' ? RETRY : GIVE_UP, what, cause, cure);
}

/** The text of anything thrown, for messages and logs. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The code that the system, zlib or a driver gave a failure, such as `ENOENT` or `Z_DATA_ERROR`; null where it has none. */
export function codeOf(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null;
}
