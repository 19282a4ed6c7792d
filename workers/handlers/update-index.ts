import type { CompactionReport } from '../../src/index/write/compact.ts';
import type { IndexReport } from '../../src/index/write/indexer.ts';
import type { Log } from '../../src/logger.ts';

export interface IndexHandlerDeps {
  /** Brings the index up to the ledger's end. */
  readonly update: () => Promise<IndexReport>;
  readonly compact: () => Promise<CompactionReport>;
  readonly log: Log;
}

/** Adds what was sealed since to the query index. */
export async function updateIndex({ update, log }: IndexHandlerDeps): Promise<void> {
  const { through, digests, rows } = await update();
  if (digests > 0) log.info({ through, digests, rows }, 'indexed');
}

/** Merges the index's parts of days that have ended. */
export async function compactParts({ compact, log }: IndexHandlerDeps): Promise<void> {
  const { merged, parts, removed } = await compact();
  if (merged > 0) log.info({ merged, parts, removed }, 'parts of the index were merged');
}
