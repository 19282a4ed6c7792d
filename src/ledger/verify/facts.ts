import { z } from 'zod';
import { parseKey } from '../../archive/keys.ts';
import type { ObjectState } from './objects/contents.ts';

/** What is known of the objects of one group, from the ledger on one side and from the listing on the other. */

const state = z.enum(['sound', 'flawed', 'gone']) satisfies z.ZodType<ObjectState>;

const entryFact = z.object({
  kind: z.literal('entry'),
  key: z.string(),
  /** Null where versions are not compared. */
  version: z.string().nullable(),
  sequence: z.number(),
  sha256: z.string(),
  state,
  /** A log's entry is part of its record's. */
  isLog: z.boolean(),
  /** Of a record. */
  hasLog: z.boolean(),
  /** Whether the digest's window is of the range asked for. */
  isAsked: z.boolean(),
  /** When it says that it was written, of a record or run that was read; milliseconds since 1970. */
  saidMs: z.number().nullable(),
});

const versionFact = z.object({
  kind: z.literal('version'),
  key: z.string(),
  version: z.string().nullable(),
  /** By the store. It may accuse, and proves nothing. */
  modifiedMs: z.number(),
  isDeleteMarker: z.boolean(),
});

const removalFact = z.object({
  kind: z.literal('removal'),
  key: z.string(),
  version: z.string().nullable(),
  sha256: z.string().nullable(),
  word: z.enum(['ERASED', 'EXPIRED']),
  /** The custody object that says so. */
  by: z.string(),
  /** Whether that object is one that a believed digest sealed. */
  isSealed: z.boolean(),
});

const expectationFact = z.object({
  kind: z.literal('expectation'),
  /** Of the complete run that names the job. */
  run: z.string(),
  jobId: z.number(),
  needsLog: z.boolean(),
});

const fact = z.discriminatedUnion('kind', [entryFact, versionFact, removalFact, expectationFact]);

export type EntryFact = z.infer<typeof entryFact>;
export type VersionFact = z.infer<typeof versionFact>;
export type RemovalFact = z.infer<typeof removalFact>;
export type ExpectationFact = z.infer<typeof expectationFact>;
export type Fact = z.infer<typeof fact>;

/** Takes back a fact that was written to disk. */
export function parseFact(value: unknown): Fact {
  return fact.parse(value);
}

/** The group of a key: all records and logs of a job belong together, whatever else stands alone. */
export function groupOf(key: string): string {
  const parsed = parseKey(key);
  if (parsed?.type !== 'record' && parsed?.type !== 'log') return key;
  const { host, runId, jobId } = parsed.address;
  return jobGroup(host, runId, jobId);
}

/** The group of a job. */
export function jobGroup(host: string, runId: number, jobId: number): string {
  return `${host} ${runId} ${jobId}`;
}
