/** What goes wrong with one request. */
export type FaultEffect =
  | { kind: 'status'; status: number; headers?: Record<string, string>; body?: string }
  /** What stands between answers, a proxy or a gateway: a page without a header of GitHub's or the store's. */
  | { kind: 'page'; status: number; contentType?: string; body?: string }
  | { kind: 'reset' }
  | { kind: 'hang' }
  | { kind: 'delay'; ms: number }
  /** The connection ends after so many bytes of body; `close` leaves the client nothing by which to notice. */
  | { kind: 'cut'; afterBytes: number; framing?: 'length' | 'chunked' | 'close' }
  | { kind: 'chunked' }
  /** Content-Encoding gzip; with `cutAt` the compressed body ends early though the HTTP message is whole. */
  | { kind: 'gzip'; cutAt?: number }
  | { kind: 'redirect'; location: string; status?: number };

/** A request as faults see it; `route` names are those of the route table. */
export interface FaultSubject {
  route: string;
  jobId: number | null;
  runId: number | null;
  installationId: number | null;
}

export interface FaultRule {
  match?: { route?: string; jobId?: number; runId?: number; installationId?: number };
  /** How many requests it hits before it is spent; default: no end. */
  times?: number;
  /** Chance in [0, 1] that a matching request is hit; default 1. */
  probability?: number;
  effect: FaultEffect;
}

export interface FaultHandle {
  /** Requests hit so far. */
  readonly hits: number;
  remove(): void;
}

interface ActiveFault {
  rule: FaultRule;
  hits: number;
}

function applies(rule: FaultRule, subject: FaultSubject): boolean {
  const { route, jobId, runId, installationId } = rule.match ?? {};
  return (
    (route === undefined || route === subject.route) &&
    (jobId === undefined || jobId === subject.jobId) &&
    (runId === undefined || runId === subject.runId) &&
    (installationId === undefined || installationId === subject.installationId)
  );
}

/** The faults in force. Delays add up; of the others the first that applies wins. */
export class Faults {
  readonly #random: () => number;
  #active: ActiveFault[] = [];

  constructor(random: () => number) {
    this.#random = random;
  }

  add(rule: FaultRule): FaultHandle {
    const fault: ActiveFault = { rule, hits: 0 };
    this.#active.push(fault);
    return {
      get hits() {
        return fault.hits;
      },
      remove: () => {
        this.#active = this.#active.filter((each) => each !== fault);
      },
    };
  }

  clear(): void {
    this.#active = [];
  }

  /** The effects that this request suffers, counted as hits. */
  take(subject: FaultSubject): { delayMs: number; effect: FaultEffect | null } {
    let delayMs = 0;
    for (const fault of this.#active) {
      const { rule } = fault;
      if (fault.hits >= (rule.times ?? Number.POSITIVE_INFINITY) || !applies(rule, subject)) continue;
      if (rule.probability !== undefined && this.#random() >= rule.probability) continue;
      fault.hits += 1;
      if (rule.effect.kind !== 'delay') return { delayMs, effect: rule.effect };
      delayMs += rule.effect.ms;
    }
    return { delayMs, effect: null };
  }
}
