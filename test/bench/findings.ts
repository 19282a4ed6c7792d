import { median, ratios, spread } from './arithmetic.ts';

/** What one area of the benchmark found: a row per comparison or plain value. */
export interface Area {
  readonly name: string;
  readonly title: string;
  readonly findings: readonly Finding[];
  /** What a reader has to know to read the numbers. */
  readonly notes: readonly string[];
}

export interface Finding {
  readonly what: string;
  readonly unit: string;
  readonly limit: Side | null;
  readonly peer: Side | null;
  readonly everlog: number;
  /** Everlog over the limit or the peer: the median of the rounds' ratios. Null where there is only a value. */
  readonly ratio: number | null;
  /** Of the ratio, else of the value; a share of it. Null after a single round. */
  readonly spread: number | null;
  readonly target: Target | null;
  readonly met: boolean | null;
}

export interface Side {
  readonly name: string;
  readonly value: number;
}

export interface Target {
  readonly bound: 'at least' | 'at most';
  readonly value: number;
}

interface Compared {
  readonly what: string;
  readonly unit: string;
  readonly against: 'limit' | 'peer';
  readonly name: string;
  readonly everlog: readonly number[];
  readonly theirs: readonly number[];
  readonly target?: Target;
}

/** Everlog against a limit or a peer, round by round; a target is one of the ratio. */
export function compared(input: Compared): Finding {
  const { what, unit, against, name, everlog, theirs, target = null } = input;
  const byRound = ratios(everlog, theirs);
  const side = { name, value: median(theirs) };
  const ratio = median(byRound);
  return {
    what,
    unit,
    limit: against === 'limit' ? side : null,
    peer: against === 'peer' ? side : null,
    everlog: median(everlog),
    ratio,
    spread: byRound.length > 1 ? spread(byRound) : null,
    target,
    met: target === null ? null : isMet(ratio, target),
  };
}

/** A value of Everlog's own; a target is one of the value. */
export function plain(what: string, unit: string, values: readonly number[], target?: Target): Finding {
  const everlog = median(values);
  return {
    what,
    unit,
    limit: null,
    peer: null,
    everlog,
    ratio: null,
    spread: values.length > 1 ? spread(values) : null,
    target: target ?? null,
    met: target === undefined ? null : isMet(everlog, target),
  };
}

export function atLeast(value: number): Target {
  return { bound: 'at least', value };
}

export function atMost(value: number): Target {
  return { bound: 'at most', value };
}

function isMet(value: number, { bound, value: wanted }: Target): boolean {
  return bound === 'at least' ? value >= wanted : value <= wanted;
}
