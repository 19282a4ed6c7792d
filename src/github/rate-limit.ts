/**
 * GitHub's rate limit as its answers tell it (docs: rate limits for the REST API). Pure: headers and clock in, decision out.
 */

/** What an answer's headers say about the installation's hour. */
export interface RateState {
  readonly limit: number;
  readonly remaining: number;
  readonly resetAt: Date;
}

/** Headers as undici gives them. */
export type Headers = Readonly<Record<string, string | string[] | undefined>>;

/** Without any hint GitHub asks for at least a minute. */
const PAUSE_WITHOUT_HINT_MS = 60_000;
/** A hint further away than this is not believed: the longest window is an hour. */
const PAUSE_MS_MAX = 2 * 60 * 60_000;
/** `Date` counts whole seconds and the answer was on its way: less than this is no difference between clocks. */
const CLOCK_LEAD_MS_MIN = 5_000;

/** One header as text; null when it is missing. */
export function headerText(headers: Headers, name: string): string | null {
  const value = headers[name];
  return (Array.isArray(value) ? value[0] : value) ?? null;
}

/** The rate state in an answer's headers, its reset by our clock; null where the host keeps none (GHES by default). */
export function rateStateOf(headers: Headers, now: Date): RateState | null {
  const limit = wholeNumber(headerText(headers, 'x-ratelimit-limit'));
  const remaining = wholeNumber(headerText(headers, 'x-ratelimit-remaining'));
  const reset = wholeNumber(headerText(headers, 'x-ratelimit-reset'));
  if (limit === null || remaining === null || reset === null) return null;
  return { limit, remaining, resetAt: new Date(reset * 1000 - clockLeadMs(headers, now)) };
}

/**
 * Until when a 403 or 429 asks its installation to pause; null when the answer is not about rates.
 * Order by GitHub's documentation: `retry-after`, then an exhausted window's reset, then a minute.
 */
export function pauseAskedFor(status: number, headers: Headers, body: string, now: Date): Date | null {
  if (status !== 403 && status !== 429) return null;
  const retryAfter = retryAfterMs(headerText(headers, 'retry-after'), clockLeadMs(headers, now), now);
  if (retryAfter !== null) return after(now, retryAfter);
  const state = rateStateOf(headers, now);
  if (state !== null && state.remaining === 0) return after(now, state.resetAt.getTime() - now.getTime());
  if (status === 429 || /\brate limit\b/i.test(body)) return after(now, PAUSE_WITHOUT_HINT_MS);
  return null;
}

/** Whether more than half of the installation's hour is left; a host without limits always has it. */
export function hasOverHalfLeft(state: RateState | null, now: Date): boolean {
  return state === null || state.resetAt <= now || state.remaining * 2 > state.limit;
}

/** How far the host's clock is ahead of ours. Resets are told by its clock. */
function clockLeadMs(headers: Headers, now: Date): number {
  const leadMs = Date.parse(headerText(headers, 'date') ?? '') - now.getTime();
  return Math.abs(leadMs) >= CLOCK_LEAD_MS_MIN ? leadMs : 0;
}

function after(now: Date, ms: number): Date {
  return new Date(now.getTime() + Math.min(Math.max(ms, 1000), PAUSE_MS_MAX));
}

function retryAfterMs(text: string | null, leadMs: number, now: Date): number | null {
  if (text === null) return null;
  const seconds = wholeNumber(text);
  if (seconds !== null) return seconds * 1000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? null : date - leadMs - now.getTime();
}

function wholeNumber(text: string | null): number | null {
  return text !== null && /^\d{1,15}$/.test(text.trim()) ? Number(text) : null;
}
