import { retryable, type EverlogError } from '../errors.ts';
import type { ObjectStore } from './object-store.ts';

/** By how much a machine's clock may differ from the store's before what it writes down as a time is not to be believed. */
const CLOCK_DIFFERENCE_MAX_MS = 5 * 60_000;

/**
 * What time it is by the store's clock, or by this machine's where the store does not say.
 * @throws EverlogError `clock_differs` where the two are over five minutes apart
 */
export async function agreedTime(
  store: Pick<ObjectStore, 'clock' | 'location'>,
  now: () => Date,
): Promise<Date> {
  const askedMs = now().getTime();
  const told = await store.clock();
  const answeredMs = now().getTime();
  if (told === null) return new Date(answeredMs);
  // Between asking and answering the store may have said it at any moment.
  const aheadMs = Math.max(askedMs - told.getTime(), told.getTime() - answeredMs, 0);
  if (aheadMs <= CLOCK_DIFFERENCE_MAX_MS) return told;
  throw clockDiffers(store.location, told, new Date(answeredMs));
}

function clockDiffers(location: string, told: Date, own: Date): EverlogError {
  const minutes = Math.round(Math.abs(told.getTime() - own.getTime()) / 60_000);
  const side = told > own ? 'behind' : 'ahead of';
  return retryable(
    'clock_differs',
    `this machine's clock says ${own.toISOString()}, ${minutes} minutes ${side} the clock of ${location} (${told.toISOString()}): set the clock (NTP), as times that are written down here could not be believed`,
  );
}
