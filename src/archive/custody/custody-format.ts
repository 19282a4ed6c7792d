import { z } from 'zod';
import { parseKey } from '../keys.ts';

/**
 * Custody objects, `everlog.custody/v1`: who did what to, or with, the evidence. Field order is the order in the files; hashes
 * are SHA-256 in lower-case hex, times RFC 3339 in UTC.
 */

export const CUSTODY_ACTIONS = [
  'export',
  'verify',
  'hold_added',
  'hold_removed',
  'purge',
  'expiry',
  'view',
  'download',
] as const;

/** `v1/custody/dt=…/<id>.json`: who did what to, or with, the evidence. */
export interface Custody {
  readonly schema: 'everlog.custody/v1';
  readonly id: string;
  readonly action: (typeof CUSTODY_ACTIONS)[number];
  readonly at: string;
  readonly who: {
    readonly name: string;
    /** How the name is known: `os_user` is what the machine says, which proves little. */
    readonly known_by: 'os_user' | 'aws_identity' | 'loopback' | 'proxy' | 'github';
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

const text = z.string().min(1);

/** Everything that was ever written in one; whoever reads must not fail over an action or a member of a later version. */
const custodySchema = z
  .looseObject({
    schema: z.literal('everlog.custody/v1'),
    id: text,
    action: text,
    at: z.iso.datetime(),
    who: z.looseObject({ name: text, known_by: text, authenticated: z.boolean() }),
    reason: z.string().nullable(),
    case: z.string().nullable(),
    scope: z.record(z.string(), z.string()),
    objects: z.array(
      z.looseObject({ key: text, version_id: z.string().nullable(), sha256: z.string().nullable() }),
    ),
    result: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
    archiver: z.looseObject({ name: text, version: text }),
  })
  .superRefine(({ action, reason, scope }, context) => {
    // A purge is somebody's decision; an expiry is a rule's, which stands in its scope.
    if (action === 'purge' && (reason ?? '').trim() === '')
      context.addIssue({ code: 'custom', path: ['reason'], message: 'a purge needs one' });
    if (action === 'expiry' && (reason ?? '').trim() === '' && Object.keys(scope).length === 0)
      context.addIssue({ code: 'custom', path: ['scope'], message: 'an expiry needs a rule or a reason' });
  });

/** What is read of a custody object. */
export type StoredCustody = z.infer<typeof custodySchema>;

/** What is read of bytes that should be a custody object. */
export type ParsedCustody =
  | { readonly ok: true; readonly custody: StoredCustody }
  | {
      readonly ok: false;
      readonly problem: string;
      /** What it says that it holds, as far as that can be told: what is unsure counts as held. */
      readonly hold: ClaimedHold | null;
    };

/** A hold of which not everything can be read. */
export type ClaimedHold = z.infer<typeof claimedHoldSchema>;

const claimedHoldSchema = z.looseObject({
  action: z.literal('hold_added'),
  case: text,
  objects: z.array(z.looseObject({ key: text })),
});

/**
 * Reads the bytes of the custody object with this key (CONTRACT §4). Every member that Everlog writes is required, so that an
 * object that does not say who, why, what of or by which program is none; says what is wrong instead of throwing.
 */
export function parseCustody(bytes: Uint8Array, key: string): ParsedCustody {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return { ok: false, problem: 'it is not UTF-8 JSON', hold: null };
  }
  const parsed = custodySchema.safeParse(value);
  const place = parseKey(key);
  if (parsed.success && place?.type === 'custody') {
    const { id, at } = parsed.data;
    if (id === place.id && at.slice(0, 10) === place.dt) return { ok: true, custody: parsed.data };
  }
  const hold = claimedHoldSchema.safeParse(value);
  const [issue] = parsed.error?.issues ?? [];
  const problem =
    issue === undefined
      ? 'its id or its day is another than its key says'
      : `${issue.path.join('.')}: ${issue.message}`;
  return { ok: false, problem, hold: hold.success ? hold.data : null };
}
