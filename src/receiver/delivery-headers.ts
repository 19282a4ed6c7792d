import type { IncomingHttpHeaders } from 'node:http';
import type { DeliveryOutcome } from './outcome.ts';

/** What a delivery's headers say, once they are complete. Nothing in them is signed. */
export interface DeliveryHeaders {
  readonly event: string;
  /** `X-GitHub-Delivery`: the same for every redelivery of one event. */
  readonly guid: string;
  readonly signature: string;
  readonly targetType: string | null;
  readonly targetId: string | null;
  readonly enterpriseHost: string | null;
  readonly tenant: string | null;
}

type HeadersRead =
  | { readonly ok: true; readonly headers: DeliveryHeaders }
  | { readonly ok: false; readonly outcome: DeliveryOutcome };

const JSON_MEDIA_TYPE = /^application\/json[ \t]*(?:;|$)/i;
/** GitHub's event names and delivery GUIDs are under 50 characters; more is not from GitHub and only bloats logs and queue. */
const HEADER_CHARS_MAX = 200;

/** Checks content type, then GitHub's headers, then that there is a signature at all. */
export function readDeliveryHeaders(headers: IncomingHttpHeaders): HeadersRead {
  if (!JSON_MEDIA_TYPE.test(headers['content-type'] ?? '')) {
    return refuseHeaders('unsupported_media_type', 'set the content type of the webhook to application/json');
  }
  const event = valueOf(headers, 'x-github-event');
  const guid = valueOf(headers, 'x-github-delivery');
  if (event === null) return refuseHeaders('malformed', 'header X-GitHub-Event is missing');
  if (guid === null) return refuseHeaders('malformed', 'header X-GitHub-Delivery is missing');
  if (event.length > HEADER_CHARS_MAX) return refuseHeaders('malformed', 'header X-GitHub-Event is too long');
  if (guid.length > HEADER_CHARS_MAX)
    return refuseHeaders('malformed', 'header X-GitHub-Delivery is too long');
  const signature = valueOf(headers, 'x-hub-signature-256');
  if (signature === null) {
    return refuseHeaders('unsigned', 'header X-Hub-Signature-256 is missing: give the webhook a secret');
  }
  return {
    ok: true,
    headers: {
      event,
      guid,
      signature,
      targetType: valueOf(headers, 'x-github-hook-installation-target-type'),
      targetId: valueOf(headers, 'x-github-hook-installation-target-id'),
      enterpriseHost: valueOf(headers, 'x-github-enterprise-host'),
      tenant: valueOf(headers, 'x-github-tenant'),
    },
  };
}

/** A header's text as far as it may stand in a log line, whatever it is; null when missing or empty. */
export function headerForLog(headers: IncomingHttpHeaders, name: string): string | null {
  return valueOf(headers, name)?.slice(0, HEADER_CHARS_MAX) ?? null;
}

function valueOf(headers: IncomingHttpHeaders, name: string): string | null {
  const value = headers[name];
  const text = Array.isArray(value) ? value.join(', ') : (value ?? '');
  return text.trim() === '' ? null : text;
}

function refuseHeaders(
  outcome: 'unsupported_media_type' | 'malformed' | 'unsigned',
  reason: string,
): HeadersRead {
  return { ok: false, outcome: { outcome, reason } };
}
