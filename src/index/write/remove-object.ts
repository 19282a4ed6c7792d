import type { ObjectStore } from '../../store/object-store.ts';

/** Removes an object of the index for good; `locked` where the store does not allow it. */
export async function removeObject(
  index: ObjectStore,
  key: string,
): Promise<'removed' | 'missing' | 'locked'> {
  const head = await index.head(key);
  return head === null ? 'missing' : index.remove(key, head.versionId, { bypassGovernance: false });
}
