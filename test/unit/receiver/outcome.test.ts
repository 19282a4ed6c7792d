import { expect, test } from 'vitest';
import { STATUS } from '../../../src/receiver/outcome.ts';

test('every outcome has the status that the contract names', () => {
  expect(STATUS).toEqual({
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
  });
});
