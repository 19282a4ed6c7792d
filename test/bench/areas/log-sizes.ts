/** How long a job's log is follows from its id, so that nothing has to be arranged between processes. */
const BYTES = [10_000, 1_000_000, 20_000_000, 100_000_000, 1_000_000_000] as const;
export type LogBytes = (typeof BYTES)[number];

/** Ids of one size, far more than are ever used. */
const IDS_PER_SIZE = 1_000_000_000;

/** The first id of a size. */
export function firstIdOf(bytes: LogBytes): number {
  return (BYTES.indexOf(bytes) + 1) * IDS_PER_SIZE;
}

export function logBytesOf(jobId: number): number {
  const bytes = BYTES[Math.floor(jobId / IDS_PER_SIZE) - 1];
  if (bytes === undefined) throw new Error(`job ${jobId} has no size`);
  return bytes;
}
