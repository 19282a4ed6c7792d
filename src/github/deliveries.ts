import { z } from 'zod';
import { EverlogError, retryable } from '../errors.ts';
import type { RawAppRequest } from './app-requests.ts';
import type { GitHubHost, Product } from './host.ts';

/**
 * The App's webhook deliveries as GitHub lists them: every attempt, newest first, for a few days. Only the App itself may
 * read the list and ask for another attempt.
 */

/** One attempt at a delivery. */
export const hookDeliverySchema = z.object({
  /** Of the attempt. A text, as GitHub's ids no longer fit into a JavaScript number. */
  id: z.string().regex(/^\d{1,20}$/),
  /** Of the event: the same for all its attempts. */
  guid: z.string().min(1).max(200),
  delivered_at: z.iso.datetime({ offset: true }),
  redelivery: z.boolean(),
  status: z.string(),
  /** 0 where nobody answered. */
  status_code: z
    .int()
    .nullish()
    .transform((code) => code ?? 0),
  event: z.string(),
  action: z
    .string()
    .nullish()
    .transform((action) => action ?? null),
});
export type HookDelivery = z.infer<typeof hookDeliverySchema>;

/** One page of the list. */
export interface DeliveryPage {
  readonly deliveries: readonly HookDelivery[];
  /** Leads to the next, older page; null on the last. */
  readonly cursor: string | null;
}

/** The list of one host's App. Failures are coded as those of `openAppRequests`. */
export interface DeliveryLog {
  readonly host: GitHubHost;
  page(cursor: string | null): Promise<DeliveryPage>;
  /** Asks for another attempt; `gone` when GitHub no longer has the delivery. */
  redeliver(id: string): Promise<'asked' | 'gone'>;
}

const DAY_MS = 86_400_000;
const PAGE_ITEMS = 100;

/** How long GitHub lists a delivery and sends it again. */
export function redeliveryWindowMs(product: Product): number {
  return (product === 'ghes' ? 7 : 3) * DAY_MS;
}

/** Opens the list of deliveries of one host's App. */
export function openDeliveryLog(host: GitHubHost, request: RawAppRequest): DeliveryLog {
  return {
    host,
    async page(cursor) {
      const answer = await request(
        'GET /app/hook/deliveries',
        { per_page: PAGE_ITEMS, ...(cursor === null ? {} : { cursor }) },
        'the list of deliveries',
      );
      return { deliveries: parseDeliveries(answer.text, host.name), cursor: cursorOf(answer.link) };
    },
    async redeliver(id) {
      try {
        await request(
          'POST /app/hook/deliveries/{delivery_id}/attempts',
          { delivery_id: id },
          `delivery ${id}`,
        );
        return 'asked';
      } catch (error) {
        // A 404, in the words that fit most App calls.
        if (error instanceof EverlogError && error.code === 'installation_gone') return 'gone';
        throw error;
      }
    },
  };
}

/**
 * Reads a page. Ids are taken as the digits that stand there: JSON.parse would round them.
 * @throws EverlogError `github_unexpected` (retry) for what is no list of deliveries.
 */
export function parseDeliveries(text: string, hostName: string): readonly HookDelivery[] {
  let parsed: unknown;
  try {
    // Within a JSON text a quote is escaped, so this matches members only.
    parsed = JSON.parse(text.replaceAll(/("id"\s*:\s*)(\d+)/g, '$1"$2"'));
  } catch {
    throw retryable('github_unexpected', `${hostName}: the list of deliveries is not JSON`);
  }
  const list = z.array(hookDeliverySchema).safeParse(parsed);
  if (list.success) return list.data;
  const [issue] = list.error.issues;
  throw retryable(
    'github_unexpected',
    `${hostName}: the list of deliveries cannot be read: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`,
  );
}

function cursorOf(link: string | null): string | null {
  const [, target] = /<([^>]+)>\s*;\s*rel="next"/.exec(link ?? '') ?? [];
  if (target === undefined || !URL.canParse(target)) return null;
  return new URL(target).searchParams.get('cursor');
}

/** What walking back through the list found. */
export interface WalkedBack {
  readonly deliveries: readonly HookDelivery[];
  /** The newest moment that is listed, whether or not it matters. */
  readonly newestAt: string | null;
  /** The oldest moment that was reached; null when nothing is listed. */
  readonly reachedBackTo: string | null;
  /** Whether it came to `until` or the list's end. */
  readonly complete: boolean;
}

/** Walks back from the newest delivery to `until`, `pagesMax` pages at most; keeps those that `matters` says. */
export async function walkBack(
  log: Pick<DeliveryLog, 'page'>,
  until: Date,
  pagesMax: number,
  matters: (delivery: HookDelivery) => boolean,
): Promise<WalkedBack> {
  const kept: HookDelivery[] = [];
  let newestAt: string | null = null;
  let reachedBackTo: string | null = null;
  let cursor: string | null = null;
  for (let pages = 0; pages < pagesMax; pages += 1) {
    const page: DeliveryPage = await log.page(cursor);
    for (const delivery of page.deliveries) if (matters(delivery)) kept.push(delivery);
    newestAt ??= page.deliveries[0]?.delivered_at ?? null;
    reachedBackTo = page.deliveries.at(-1)?.delivered_at ?? reachedBackTo;
    cursor = page.cursor;
    const passed = reachedBackTo !== null && Date.parse(reachedBackTo) < until.getTime();
    if (cursor === null || passed) return { deliveries: kept, newestAt, reachedBackTo, complete: true };
  }
  return { deliveries: kept, newestAt, reachedBackTo, complete: false };
}
