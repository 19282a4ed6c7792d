import { BlockList, isIP } from 'node:net';

/**
 * Which network addresses Everlog may connect to for GitHub. A log link comes from outside, so every address a name
 * resolves to is judged, and the judged address is the one connected to (no second resolution, no rebinding).
 */

/** Cloud metadata services: refused whatever the operator allows. */
const METADATA: readonly string[] = [
  '169.254.169.254/32',
  '169.254.170.2/32',
  '100.100.100.200/32',
  // Azure's platform address lies among public ones; it serves keys and agents of the machine.
  '168.63.129.16/32',
  'fd00:ec2::254/128',
  'fd20:ce::254/128',
];

/** Not the public internet (IANA special-purpose registries, RFC 6890). */
const NOT_PUBLIC: readonly string[] = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
  // Unspecified, loopback, and IPv4 addresses in the forms that came before the mapped one.
  '::/96',
  '::ffff:0:0:0/96',
  '64:ff9b:1::/48',
  '100::/64',
  '2001::/23',
  '2001:db8::/32',
  '2002::/16',
  '3fff::/20',
  '5f00::/16',
  'fc00::/7',
  'fe80::/10',
  'fec0::/10',
  'ff00::/8',
];

const metadata = blockList(METADATA);
const notPublic = blockList(NOT_PUBLIC);

/** Why an address is refused. */
export type AddressVerdict = 'allowed' | 'private' | 'metadata';

/** Judges addresses for one GitHub host. */
export interface AddressRule {
  judge(address: string): AddressVerdict;
}

/**
 * A rule that allows the public internet and the ranges the operator named, and metadata services never.
 * @throws Error when a range is not CIDR notation (configuration has checked it before).
 */
export function addressRule(privateCidrs: readonly string[]): AddressRule {
  const allowed = blockList(privateCidrs);
  return {
    judge(address) {
      const plain = unmapped(address);
      const family = isIP(plain) === 6 ? 'ipv6' : 'ipv4';
      if (metadata.check(plain, family)) return 'metadata';
      if (allowed.check(plain, family)) return 'allowed';
      return notPublic.check(plain, family) ? 'private' : 'allowed';
    },
  };
}

/** Whether `text` is an address range such as `10.0.0.0/8` or `fd00::/8`. */
export function isCidr(text: string): boolean {
  return parseCidr(text) !== null;
}

/** `::ffff:10.0.0.1` and `64:ff9b::10.0.0.1` reach the IPv4 address they hold, so that is the one judged. */
function unmapped(address: string): string {
  const bare = address.replace(/^\[|\]$/g, '').replace(/%.*$/, '');
  const canonical = isIP(bare) === 6 ? new URL(`http://[${bare}]`).hostname.slice(1, -1) : bare;
  const [, high, low] = /^(?:::ffff:|64:ff9b::)([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(canonical) ?? [];
  if (high === undefined || low === undefined) return canonical;
  const bits = Number.parseInt(high, 16) * 65_536 + Number.parseInt(low, 16);
  return [bits >>> 24, (bits >>> 16) & 255, (bits >>> 8) & 255, bits & 255].join('.');
}

function blockList(cidrs: readonly string[]): BlockList {
  const list = new BlockList();
  for (const cidr of cidrs) {
    const parsed = parseCidr(cidr);
    if (parsed === null) throw new Error(`not an address range: ${cidr}`);
    list.addSubnet(parsed.address, parsed.prefix, parsed.family);
  }
  return list;
}

function parseCidr(text: string): { address: string; prefix: number; family: 'ipv4' | 'ipv6' } | null {
  const [, address, digits] = /^([0-9a-fA-F.:]+)\/(\d{1,3})$/.exec(text) ?? [];
  if (address === undefined || digits === undefined) return null;
  const version = isIP(address);
  const prefix = Number(digits);
  if (version === 0 || prefix > (version === 6 ? 128 : 32)) return null;
  return { address, prefix, family: version === 6 ? 'ipv6' : 'ipv4' };
}
