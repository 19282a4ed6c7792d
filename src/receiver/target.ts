import type { DeliveryHeaders } from './delivery-headers.ts';

/** The GitHub deployment and App that one webhook address is for. */
export interface ExpectedTarget {
  /** The deployment's web host in lower case without port. */
  readonly host: string;
  readonly product: 'github.com' | 'ghe.com' | 'ghes';
  /** Null when no App is configured: any target is right then. */
  readonly appId: number | null;
}

type TargetHeaders = Pick<DeliveryHeaders, 'targetType' | 'targetId' | 'enterpriseHost' | 'tenant'>;

const GHE_COM_SUFFIX = '.ghe.com';

/**
 * Why a signed delivery is meant for somebody else, or null when it is not. These headers only ever refuse: no address
 * is chosen by them, since the signature does not cover them.
 */
export function wrongTarget(headers: TargetHeaders, target: ExpectedTarget): string | null {
  const { targetType, targetId, enterpriseHost, tenant } = headers;
  if (targetType === 'integration' && target.appId !== null && targetId !== String(target.appId)) {
    return 'the delivery is for another GitHub App than the configured one';
  }
  if (enterpriseHost !== null && hostnameOf(enterpriseHost) !== target.host) {
    return 'X-GitHub-Enterprise-Host names another host than the configured one';
  }
  if (tenant !== null && tenant.toLowerCase() !== tenantOf(target)) {
    return 'X-GitHub-Tenant names another host than the configured one';
  }
  return null;
}

function hostnameOf(authority: string): string {
  return authority.trim().toLowerCase().replace(/:\d+$/, '');
}

/** Only GHE.com has tenants. */
function tenantOf(target: ExpectedTarget): string | null {
  return target.product === 'ghe.com' && target.host.endsWith(GHE_COM_SUFFIX)
    ? target.host.slice(0, -GHE_COM_SUFFIX.length)
    : null;
}
