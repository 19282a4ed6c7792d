import { z } from 'zod';

/** One request to the API or the log host. The query is left out: on the log host it is a signature. */
export interface RequestEntry {
  origin: 'api' | 'logs';
  route: string;
  method: string;
  path: string;
  status: number;
  /** The kind of Authorization header that arrived. */
  authorization: 'none' | 'app' | 'installation' | 'token' | 'user' | 'refused';
  jobId: number | null;
  headers: Readonly<Record<string, string>>;
  atMs: number;
}

/** Enough for every request of a large test, while a simulator that serves for days stays bounded. */
const ENTRIES_KEPT = 10_000;
const KEPT_HEADERS = ['accept', 'accept-encoding', 'range', 'user-agent', 'x-github-api-version', 'host'];
const headerValue = z.string();

/** The requests that arrived, the latest 10,000 in full and all of them counted by route. */
export class RequestLog {
  readonly counts = new Map<string, number>();
  #entries: RequestEntry[] = [];
  #underWay = 0;
  #underWayMost = 0;

  get entries(): readonly RequestEntry[] {
    return this.#entries;
  }

  add(entry: Omit<RequestEntry, 'headers'>, headers: Record<string, unknown>): void {
    this.counts.set(entry.route, (this.counts.get(entry.route) ?? 0) + 1);
    const kept: Record<string, string> = {};
    for (const name of KEPT_HEADERS) {
      const value = headerValue.safeParse(headers[name]);
      if (value.success) kept[name] = value.data;
    }
    this.#entries.push({ ...entry, headers: kept });
    if (this.#entries.length > ENTRIES_KEPT * 2) this.#entries = this.#entries.slice(-ENTRIES_KEPT);
  }

  /** The most requests, to the API and the log host together, that were under way at the same time. */
  get mostAtOnce(): number {
    return this.#underWayMost;
  }

  /** Counts a request as under way until the function it gives is called. */
  begin(): () => void {
    this.#underWay += 1;
    this.#underWayMost = Math.max(this.#underWayMost, this.#underWay);
    let ended = false;
    return () => {
      if (!ended) this.#underWay -= 1;
      ended = true;
    };
  }

  /** How many requests a route has had. */
  count(route: string): number {
    return this.counts.get(route) ?? 0;
  }

  clear(): void {
    this.counts.clear();
    this.#entries = [];
  }
}
