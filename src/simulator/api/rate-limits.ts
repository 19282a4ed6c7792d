interface Bucket {
  used: number;
  resetAtMs: number;
}

export interface RateLimit {
  limit: number;
  windowMs: number;
}

export interface Charge {
  exceeded: boolean;
  headers: Record<string, string>;
}

/** Primary rate limits, one bucket per installation (key: its id) or other kind of caller. */
export class RateLimits {
  readonly #limit: RateLimit | null;
  readonly #now: () => number;
  readonly #buckets = new Map<string, Bucket>();

  constructor(limit: RateLimit | null, now: () => number) {
    this.#limit = limit;
    this.#now = now;
  }

  /** Takes one request off a bucket and gives the headers of the answer; without a limit, no headers at all. */
  charge(key: string, cost = 1): Charge {
    if (this.#limit === null) return { exceeded: false, headers: {} };
    const bucket = this.#bucket(key, this.#limit);
    const exceeded = bucket.used >= this.#limit.limit;
    if (!exceeded) bucket.used += cost;
    return { exceeded, headers: this.#headers(bucket, this.#limit) };
  }

  /** The `core` resource of `GET /rate_limit`, which costs nothing. */
  state(key: string): { limit: number; used: number; remaining: number; reset: number } | null {
    if (this.#limit === null) return null;
    const { used, resetAtMs } = this.#bucket(key, this.#limit);
    const { limit } = this.#limit;
    return { limit, used, remaining: limit - used, reset: Math.ceil(resetAtMs / 1000) };
  }

  /** Leaves an installation this many requests until its window ends. */
  setRemaining(key: string | number, remaining: number): void {
    if (this.#limit === null) throw new Error('The simulator was started without rate limits');
    this.#bucket(String(key), this.#limit).used = this.#limit.limit - remaining;
  }

  #bucket(key: string, limit: RateLimit): Bucket {
    const present = this.#buckets.get(key);
    if (present !== undefined && present.resetAtMs > this.#now()) return present;
    const fresh = { used: 0, resetAtMs: this.#now() + limit.windowMs };
    this.#buckets.set(key, fresh);
    return fresh;
  }

  #headers(bucket: Bucket, limit: RateLimit): Record<string, string> {
    return {
      'x-ratelimit-limit': String(limit.limit),
      'x-ratelimit-remaining': String(limit.limit - bucket.used),
      'x-ratelimit-used': String(bucket.used),
      'x-ratelimit-reset': String(Math.ceil(bucket.resetAtMs / 1000)),
      'x-ratelimit-resource': 'core',
    };
  }
}
