import { userInfo } from 'node:os';
import type { Custody } from '../archive/custody/custody-format.ts';

/**
 * Who runs this command, as far as the machine says: nobody vouches for it. A user without a name of its own, as in many
 * containers, goes by its number.
 */
export function actingUser(): Custody['who'] {
  return { name: nameOfUser(), known_by: 'os_user', authenticated: false };
}

function nameOfUser(): string {
  try {
    return userInfo().username;
  } catch {
    const uid = process.getuid?.();
    return uid === undefined ? 'unknown' : `uid ${uid}`;
  }
}
