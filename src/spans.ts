/** What is told of a span, beside its name: never a secret, a token or a signed link. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean>>;

/**
 * Does a piece of work as a span of the trace that is under way, where somebody traces. `tell` says what the work came to;
 * what the work throws is thrown on.
 */
export type InSpan = <T>(
  name: string,
  attributes: SpanAttributes,
  work: () => Promise<T>,
  tell?: (result: T) => SpanAttributes,
) => Promise<T>;

/** Does the work, and tells nobody. */
export const untraced: InSpan = (_name, _attributes, work) => work();
