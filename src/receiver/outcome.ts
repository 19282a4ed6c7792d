/**
 * The closed set of answers of the webhook address (CONTRACT §3), and the one table that gives each its status.
 * An outcome is itself the JSON body of the answer.
 */
export type DeliveryOutcome =
  | { readonly outcome: 'queued' | 'duplicate' | 'pong' | 'error' }
  | { readonly outcome: 'ignored'; readonly reason: string; readonly problems?: readonly string[] }
  | {
      readonly outcome:
        | 'malformed'
        | 'unsigned'
        | 'bad_signature'
        | 'wrong_target'
        | 'too_large'
        | 'unsupported_media_type'
        | 'timeout'
        | 'unavailable'
        | 'not_found'
        | 'method_not_allowed';
      /** Written for whoever reads GitHub's list of deliveries; holds nothing secret. */
      readonly reason: string;
    };

export type OutcomeName = DeliveryOutcome['outcome'];

/** The only `reason` that programs match on: signed JSON without what a job needs. */
export const UNPROCESSABLE = 'unprocessable';

/** The status of every outcome. 2xx tells GitHub that nothing more is needed; everything else stands in its list of failed deliveries. */
export const STATUS = {
  queued: 202,
  duplicate: 202,
  ignored: 202,
  pong: 200,
  malformed: 400,
  unsigned: 401,
  bad_signature: 401,
  wrong_target: 403,
  not_found: 404,
  method_not_allowed: 405,
  timeout: 408,
  too_large: 413,
  unsupported_media_type: 415,
  error: 500,
  unavailable: 503,
} as const satisfies { readonly [N in OutcomeName]: number };
