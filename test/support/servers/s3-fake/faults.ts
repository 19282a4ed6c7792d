import type { S3Request } from './protocol.ts';

export type FaultEffect =
  | { kind: 'status'; status: number; code?: string; message?: string }
  /** The connection is reset before anything is stored. */
  | { kind: 'reset' }
  /** The body is read, and no answer ever comes. */
  | { kind: 'hang' }
  | { kind: 'delay'; ms: number }
  /** The request takes full effect and the connection is reset instead of answered: the client cannot know. */
  | { kind: 'cut_after_store' };

export interface FaultRule {
  /** Default: every method. */
  method?: string;
  /** Default: every key. Compared with the decoded key, without the bucket. */
  keyIncludes?: string;
  /** How often it strikes before it is used up. Default: always. */
  times?: number;
  /** From 0 to 1; default 1. A request it spares does not count against `times`. */
  probability?: number;
  effect: FaultEffect;
}

/** Rules that make chosen requests fail; the first that applies decides. */
export class Faults {
  readonly #random: () => number;
  #rules: { rule: FaultRule; left: number }[] = [];

  constructor(random: () => number) {
    this.#random = random;
  }

  /** Adds a rule after the others. The answer takes it away again. */
  add(rule: FaultRule): () => void {
    const entry = { rule, left: rule.times ?? Number.POSITIVE_INFINITY };
    this.#rules.push(entry);
    return () => {
      this.#rules = this.#rules.filter((other) => other !== entry);
    };
  }

  clear(): void {
    this.#rules = [];
  }

  /** The effect this request must suffer, if any; counts as one strike. */
  take(request: Pick<S3Request, 'method' | 'key'>): FaultEffect | undefined {
    const entry = this.#rules.find(
      ({ rule, left }) =>
        left > 0 &&
        (rule.method === undefined || rule.method === request.method) &&
        (rule.keyIncludes === undefined || request.key.includes(rule.keyIncludes)) &&
        (rule.probability === undefined || this.#random() < rule.probability),
    );
    if (entry === undefined) return undefined;
    entry.left -= 1;
    return entry.rule.effect;
  }
}
