import { z } from 'zod';
import type { KeyValueNotes } from '../key-value-notes.ts';

/** Deliveries of a host that failed and are not asked for again, for metrics: what reconcile alone can still find. */
export interface FailedDeliveries {
  /** Their body was refused, and would be again. */
  readonly final: number;
  /** They were asked for as often as they are. */
  readonly exhausted: number;
}

/** A pass is made every ten minutes: what none has confirmed for a day is not told any more. */
const KEPT_MS = 24 * 60 * 60_000;

const noteSchema = z.object({ final: z.int().min(0), exhausted: z.int().min(0) });

/** Notes what a pass over the deliveries of a host has left. */
export async function noteFailedDeliveries(
  notes: Pick<KeyValueNotes, 'note'>,
  host: string,
  { final, exhausted }: FailedDeliveries,
): Promise<void> {
  await notes.note(failedDeliveriesName(host), JSON.stringify({ final, exhausted }), KEPT_MS);
}

/** What the last pass left, by host; a host whose deliveries nobody has gone through is not in it. */
export async function readFailedDeliveries(
  notes: Pick<KeyValueNotes, 'noted'>,
  hosts: readonly string[],
): Promise<ReadonlyMap<string, FailedDeliveries>> {
  const texts = await notes.noted(hosts.map(failedDeliveriesName));
  const found = new Map<string, FailedDeliveries>();
  for (const [index, host] of hosts.entries()) {
    const parsed = noteSchema.safeParse(JSON.parse(texts[index] ?? 'null'));
    if (parsed.success) found.set(host, parsed.data);
  }
  return found;
}

function failedDeliveriesName(host: string): string {
  return `failed-deliveries/${host}`;
}
