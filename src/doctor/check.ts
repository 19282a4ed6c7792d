import { EverlogError, messageOf } from '../errors.ts';

/** What one look at the installation found. */
export interface Checked {
  readonly area: Area;
  readonly name: string;
  readonly status: 'ok' | 'warning' | 'failed' | 'skipped';
  readonly detail: string;
  /** What to do about it; null where there is nothing to do. */
  readonly fix: string | null;
}

export const AREAS = ['configuration', 'queue', 'archive', 'github', 'ledger', 'machine'] as const;
export type Area = (typeof AREAS)[number];

/** A look that takes longer is one at something that hangs. */
const CHECK_TIMEOUT_MS = 60_000;
/** A clock that is off by less is as good as right: stores and GitHub tell whole seconds. */
const SKEW_IGNORED_MS = 5_000;
/** GitHub refuses an App's signature that is further in the future; time stamps are not worth much either then. */
const SKEW_MAX_MS = 60_000;

/** A result without its place. */
export type CheckResult = Pick<Checked, 'status' | 'detail'> & { readonly fix?: string };

/** Looks at one thing. What it throws is a failed check, with `fix` unless the error brings its own cure. */
export async function check(
  area: Area,
  name: string,
  fix: string | ((error: unknown) => string),
  look: () => Promise<CheckResult>,
): Promise<Checked> {
  try {
    const found = await withinTime(look());
    return { area, name, status: found.status, detail: found.detail, fix: found.fix ?? null };
  } catch (error) {
    const known = error instanceof EverlogError ? error : null;
    const detail = known === null ? `unexpected: ${messageOf(error)}` : known.message;
    const otherwise = typeof fix === 'string' ? fix : fix(error);
    if (known === null || known.cure === null)
      return { area, name, status: 'failed', detail, fix: otherwise === '' ? null : otherwise };
    return { area, name, status: 'failed', detail: detail.replace(`: ${known.cure}`, ''), fix: known.cure };
  }
}

/** A check that cannot be made because an earlier one failed. */
export function skipped(area: Area, name: string, why: string): Checked {
  return { area, name, status: 'skipped', detail: why, fix: null };
}

/** Judges how far a clock is from this machine's. `theirs` is good to a second. */
export function judgeSkew(theirs: Date, ours: Date, whose: string): CheckResult {
  const skewMs = ours.getTime() - theirs.getTime();
  const seconds = Math.round(Math.abs(skewMs) / 1_000);
  if (Math.abs(skewMs) <= SKEW_IGNORED_MS) return { status: 'ok', detail: `agrees with ${whose}` };
  const detail = `${seconds} s ${skewMs > 0 ? 'ahead of' : 'behind'} ${whose}`;
  const fix = "set this machine's clock, best by NTP";
  return { status: Math.abs(skewMs) > SKEW_MAX_MS ? 'failed' : 'warning', detail, fix };
}

async function withinTime<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${CHECK_TIMEOUT_MS} ms`)), CHECK_TIMEOUT_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
