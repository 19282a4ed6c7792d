import type { ErrorCode, EverlogError } from '../errors.ts';

/** Exit codes (CONTRACT §1). */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  findings: 4,
  unauthorised: 5,
  interrupted: 130,
} as const;

/** Errors that end otherwise than with `failed`. */
const CODES: Readonly<Partial<Record<ErrorCode, number>>> = {
  usage: EXIT.usage,
  config_invalid: EXIT.usage,
  signing_key_invalid: EXIT.usage,
  signing_key_unknown: EXIT.usage,
  signing_key_revoked: EXIT.usage,
  queue_unsafe: EXIT.usage,
  queue_locked: EXIT.usage,
  queue_unsuitable: EXIT.usage,
  queue_foreign: EXIT.usage,
  store_unsuitable: EXIT.usage,
  store_misconfigured: EXIT.usage,
  not_found: EXIT.notFound,
  unauthorised: EXIT.unauthorised,
  store_refused: EXIT.unauthorised,
  signing_refused: EXIT.unauthorised,
  ledger_damaged: EXIT.findings,
};

/** The exit code of a failed command. */
export function exitCodeOf(error: EverlogError): number {
  return CODES[error.code] ?? EXIT.failed;
}
