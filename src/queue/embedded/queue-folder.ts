import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** Where in a queue's folder its database lies. */
export const DATA_FOLDER = 'postgres';

/** Whether an embedded queue was ever begun in `folder`. */
export function holdsQueue(folder: string): boolean {
  return existsSync(join(folder, DATA_FOLDER));
}
