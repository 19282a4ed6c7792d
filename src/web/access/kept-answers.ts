/** Answers kept, of all readers together. */
const ANSWERS_MAX = 50_000;

/** Answers that cost a request elsewhere, kept for a while; who asks while another waits for the same one waits with them. */
export class KeptAnswers<T> {
  readonly #now: () => Date;
  readonly #keptMs: (answer: T) => number;
  readonly #kept = new Map<string, { readonly answer: Promise<T>; untilMs: number }>();

  /** `keptMs`: for how long an answer counts, from when it was asked for. */
  constructor(now: () => Date, keptMs: (answer: T) => number) {
    this.#now = now;
    this.#keptMs = keptMs;
  }

  /** The answer to a question of this name; a failure to answer is not kept. */
  async of(name: string, ask: () => Promise<T>): Promise<T> {
    const nowMs = this.#now().getTime();
    const kept = this.#kept.get(name);
    if (kept !== undefined && kept.untilMs > nowMs) return kept.answer;
    const asked = { answer: ask(), untilMs: Infinity };
    this.#keep(name, asked);
    try {
      const answer = await asked.answer;
      asked.untilMs = nowMs + this.#keptMs(answer);
      return answer;
    } catch (error) {
      if (this.#kept.get(name) === asked) this.#kept.delete(name);
      throw error;
    }
  }

  /** Keeps an answer that is known without asking. */
  know(name: string, answer: T): void {
    this.#keep(name, {
      answer: Promise.resolve(answer),
      untilMs: this.#now().getTime() + this.#keptMs(answer),
    });
  }

  #keep(name: string, kept: { readonly answer: Promise<T>; untilMs: number }): void {
    if (this.#kept.size >= ANSWERS_MAX) this.#kept.clear();
    this.#kept.set(name, kept);
  }
}
