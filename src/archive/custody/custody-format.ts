import { z } from 'zod';

/**
 * Custody objects, `everlog.custody/v1`: who did what to, or with, the evidence. Field order is the order in the files; hashes
 * are SHA-256 in lower-case hex, times RFC 3339 in UTC.
 */

export const CUSTODY_ACTIONS = ['export', 'verify', 'hold_added', 'hold_removed', 'purge', 'expiry'] as const;

/** `v1/custody/dt=…/<id>.json`: who did what to, or with, the evidence. */
export interface Custody {
  readonly schema: 'everlog.custody/v1';
  readonly id: string;
  readonly action: (typeof CUSTODY_ACTIONS)[number];
  readonly at: string;
  readonly who: {
    readonly name: string;
    /** How the name is known: `os_user` is what the machine says, which proves little. */
    readonly known_by: 'os_user' | 'aws_identity';
    /** Whether somebody other than the actor vouches for the name. */
    readonly authenticated: boolean;
  };
  readonly reason: string | null;
  /** The legal hold's case. */
  readonly case: string | null;
  /** Filters and options as they were given. */
  readonly scope: Readonly<Record<string, string>>;
  /** What was removed (purge, expiry), held or released; empty for others. */
  readonly objects: readonly CustodyObject[];
  /** What came of it, such as counts of a verification. */
  readonly result: Readonly<Record<string, string | number | boolean | null>>;
  readonly archiver: { readonly name: string; readonly version: string };
}

export interface CustodyObject {
  readonly key: string;
  readonly version_id: string | null;
  /** Of the stored bytes; null where they were gone already. */
  readonly sha256: string | null;
}

const custodySchema = z.looseObject({
  schema: z.literal('everlog.custody/v1'),
  id: z.string(),
  // Whoever reads must not take an action of a later version for one of its own, nor fail over it.
  action: z.string(),
  at: z.string(),
  who: z.looseObject({ name: z.string(), known_by: z.string(), authenticated: z.boolean() }),
  reason: z.string().nullable(),
  case: z.string().nullable(),
  scope: z.record(z.string(), z.string()),
  objects: z.array(
    z.looseObject({ key: z.string(), version_id: z.string().nullable(), sha256: z.string().nullable() }),
  ),
});

/** What is read of a custody object. */
export type StoredCustody = z.infer<typeof custodySchema>;

/** Reads a custody object's bytes; null when they are none. */
export function parseCustody(bytes: Uint8Array): StoredCustody | null {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    const parsed = custodySchema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}
