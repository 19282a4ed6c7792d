import type { EverlogError } from '../errors.ts';

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

/** The exit code of a failed command. */
export function exitCodeOf(error: EverlogError): number {
  switch (error.code) {
    case 'usage':
    case 'config_invalid':
    case 'queue_unsafe':
    case 'queue_locked':
    case 'store_unsuitable':
      return EXIT.usage;
    case 'not_found':
      return EXIT.notFound;
    case 'unauthorised':
    case 'store_refused':
      return EXIT.unauthorised;
    default:
      return EXIT.failed;
  }
}
