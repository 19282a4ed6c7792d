/**
 * What a queue server's own words mean. Its words are always told, with what mends them where that is known: an operator
 * who reads "NOPERM" or "CROSSSLOT" at night should not have to look it up.
 */

interface Cure {
  readonly words: RegExp;
  readonly cure: string;
}

/** Words of a server that answers and refuses. */
const REFUSALS: readonly Cure[] = [
  {
    words: /CROSSSLOT|^MOVED |^CLUSTERDOWN|not allowed in cluster mode/,
    cure: 'the server runs in cluster mode, which spreads the keys of one queue: use one with cluster mode off (cluster-enabled no)',
  },
  {
    words: /^READONLY|read only replica|^MASTERDOWN/,
    cure: 'this is a read-only replica: name the primary in EVERLOG_QUEUE_URL, or its Sentinels with redis+sentinel://',
  },
  {
    words: /^OOM|used memory > 'maxmemory'/,
    cure: 'the server is out of memory: raise maxmemory, or remove what else lies there',
  },
  {
    words: /^MISCONF|No space left|write error|disk/i,
    cure: 'the server cannot write to its disk: free space there (its own log says more)',
  },
  {
    words: /NOPERM|no permissions|ACL failure|unknown command/i,
    cure: 'the user may not do all that a queue needs: give it the keys of this prefix and these commands, such as ACL SETUSER name ~PREFIX:* +@all -@admin -@dangerous +info +config|get',
  },
  { words: /^LOADING/, cure: 'the server is still loading its data: wait' },
  { words: /^BUSY /, cure: 'a script of another client holds the server up: wait, or SCRIPT KILL' },
];

/** Words of a connection that does not come about. */
const CONNECTION_TROUBLE: readonly Cure[] = [
  {
    words: /sentinel.*(NOAUTH|WRONGPASS|invalid password)/i,
    cure: 'the Sentinels want a password of their own: end EVERLOG_QUEUE_URL in ?sentinel_password=… (and sentinel_username=…)',
  },
  {
    words: /sentinel/i,
    cure: 'no Sentinel tells where the primary is: see that they run, and that the name at the end of EVERLOG_QUEUE_URL is the one that they watch',
  },
  {
    words: /^NOAUTH/,
    cure: 'the server wants a password: put it into EVERLOG_QUEUE_URL, as redis://user:password@host:port',
  },
  {
    words: /^WRONGPASS|invalid password|invalid username-password/,
    cure: 'correct user and password in EVERLOG_QUEUE_URL',
  },
  { words: /ECONNREFUSED/, cure: 'start the server, or correct host and port in EVERLOG_QUEUE_URL' },
  { words: /ENOTFOUND|EAI_AGAIN/, cure: 'no such host name: correct the host in EVERLOG_QUEUE_URL' },
  {
    words: /ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|timed out|no connection/i,
    cure: 'see whether the server runs and the network lets this machine reach it; a rediss:// address needs a port that speaks TLS',
  },
  {
    words: /self[- ]signed|unable to (verify|get)|SELF_SIGNED|UNABLE_TO/,
    cure: 'its certificate is of an authority that this machine does not know: name that authority’s certificate in NODE_EXTRA_CA_CERTS',
  },
  {
    words: /altnames|ALTNAME/i,
    cure: 'its certificate is for another name: use that name in EVERLOG_QUEUE_URL',
  },
  { words: /certificate has expired/i, cure: 'renew the server’s certificate' },
  {
    words: /wrong version number|packet length too long|EPROTO|SSL routines/i,
    cure: 'it does not speak TLS there: use redis:// or the port for TLS',
  },
  {
    words: /closed|ECONNRESET|EPIPE/i,
    cure: 'it hangs up: a server that speaks TLS wants rediss://, and one in protected mode a password',
  },
];

/** What is wrong with a queue server, and what mends it where that is known. */
export interface Trouble {
  /** "the queue server refuses work: …" where it answered, "… does not answer: …" where there is no connection. */
  readonly what: string;
  readonly cure: string | null;
}

/** Explains a server's words, of the queue at `location` (without credentials) below `prefix`. */
export function explainTrouble(location: string, prefix: string, words: string): Trouble {
  const said = words.trim().replace(/[.:\s]+$/, '');
  const connecting = CONNECTION_TROUBLE.find((known) => known.words.test(said));
  if (connecting !== undefined) {
    const { cure } = connecting;
    return { what: `the queue server does not answer: ${said} (${location})`, cure };
  }
  const refusal = REFUSALS.find((known) => known.words.test(said));
  if (refusal !== undefined) {
    const cure = refusal.cure.replaceAll('PREFIX', prefix);
    return { what: `the queue server refuses work: ${said} (${location})`, cure };
  }
  return { what: `the queue server does not answer: ${said} (${location})`, cure: null };
}
