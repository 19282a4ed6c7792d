import { timingSafeEqual, createHash } from 'node:crypto';
import { BlockList, isIP } from 'node:net';
import type { JobRecord, RecordRepository } from '../../archive/record.ts';

/** Who reads, and how that is known. */
export interface Reader {
  readonly name: string;
  readonly knownBy: 'loopback' | 'proxy' | 'github';
  /** Whether all that the archive holds is theirs to read, and so what names no single repository: its place, queue and gaps. */
  readonly readsAll: boolean;
}

/** What is known of a request beside its path. */
export interface Visit {
  /** Of the socket itself, never of a header. */
  readonly remoteAddress: string;
  /** All values of each header, as they came. */
  readonly headers: ReadonlyMap<string, readonly string[]>;
}

/** Decides who may look. */
export interface Access {
  /** Who this is; null when nobody is known to be here, and then `login` says where to go, if anywhere. */
  readerOf(visit: Visit): Promise<Reader | null>;
  /**
   * Whether a reader may read a repository that bears this name now. Asked before the archive is, so that who may not costs
   * the same, and waits as long, whatever the archive holds.
   */
  maySee(reader: Reader, place: RepositoryPath): Promise<boolean>;
  /**
   * Whether a reader whom `readerOf` answered for this request may read a repository, whose id counts and not its name:
   * somebody else may bear the name by now.
   */
  mayRead(reader: Reader, repository: RecordRepository): Promise<boolean>;
  /** Where somebody unknown can log in; null where that is not offered. */
  readonly login: string | null;
}

export type RepositoryPath = Pick<JobRecord, 'host' | 'owner' | 'repo'>;

/** Everybody on this machine, where the service and its files are already theirs: embedded only. */
export function loopbackAccess(name: string): Access {
  return {
    login: null,
    readerOf: async () => ({ name, knownBy: 'loopback', readsAll: true }),
    maySee: async () => true,
    mayRead: async () => true,
  };
}

export interface ProxyRules {
  /** From where the proxy connects, `ADDRESS/BITS`. */
  readonly cidrs: readonly string[];
  /** The header in which it names the user. */
  readonly header: string;
  /** What it sends in `X-Everlog-Proxy-Secret`, so that no other program of its machine can speak for it. */
  readonly secret: string;
}

const SECRET_HEADER = 'x-everlog-proxy-secret';
const NAME_CHARACTERS_MAX = 256;

/**
 * Everybody whom a trusted proxy names. The proxy is known by the socket's address and a shared secret; a header that stands twice
 * is refused, and forwarded addresses are not looked at. Such readers may read every repository: the proxy says who may come.
 */
export function proxyAccess({ cidrs, header, secret }: ProxyRules): Access {
  const trusted = new BlockList();
  for (const cidr of cidrs) {
    const [address = '', bits = ''] = cidr.split('/');
    trusted.addSubnet(address, Number(bits), isIP(address) === 6 ? 'ipv6' : 'ipv4');
  }
  return {
    login: null,
    async readerOf({ remoteAddress, headers }) {
      const address = remoteAddress.replace(/^::ffff:/, '');
      if (isIP(address) === 0 || !trusted.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')) return null;
      const [secrets, names] = [headers.get(SECRET_HEADER) ?? [], headers.get(header.toLowerCase()) ?? []];
      if (secrets.length !== 1 || names.length !== 1 || !isSame(secrets[0] ?? '', secret)) return null;
      const name = personIn(names[0] ?? '');
      const isName = name !== '' && name.length <= NAME_CHARACTERS_MAX;
      return isName ? { name, knownBy: 'proxy', readsAll: true } : null;
    },
    maySee: async () => true,
    mayRead: async () => true,
  };
}

/** Headers come as bytes: a name that is UTF-8 is shown, and written down, as its letters. */
function personIn(header: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(header, 'latin1'));
  } catch {
    return header;
  }
}

/** Whether two texts are the same, compared by their hashes so that the time taken says nothing of either. */
export function isSame(given: string, secret: string): boolean {
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(given), hash(secret));
}
