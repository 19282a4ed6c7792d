/** A random choice of a stream's items, each as likely as any other, in memory of the choice alone. */
export class Reservoir<T> {
  readonly #size: number;
  readonly #random: () => number;
  readonly #kept: T[] = [];
  #seen = 0;

  /** @param random 0 up to 1 */
  constructor(size: number, random: () => number) {
    this.#size = size;
    this.#random = random;
  }

  offer(item: T): void {
    this.#seen += 1;
    const at = this.#kept.length < this.#size ? this.#kept.length : Math.floor(this.#random() * this.#seen);
    if (at < this.#size) this.#kept[at] = item;
  }

  get kept(): readonly T[] {
    return this.#kept;
  }
}
