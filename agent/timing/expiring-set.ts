/**
 * Remembers strings, each for a time. Their number is bounded, and the oldest is forgotten first.
 *
 * It is a map of its own and no `LRUCache` with a `ttl`: that one allocates five arrays for the whole bound, which is
 * 10,000 entries here, although most nodes remember a few.
 */
export class ExpiringSet {
  readonly #until = new Map<string, number>();
  readonly #max: number;
  readonly #now: () => number;

  /**
   * @param max number of strings
   * @param now milliseconds on a clock that never jumps
   */
  constructor(max: number, now: () => number = () => performance.now()) {
    this.#max = max;
    this.#now = now;
  }

  /** Remembers the string from now on for this time, as the newest. */
  add(value: string, milliseconds: number): void {
    this.#until.delete(value);
    this.#until.set(value, this.#now() + milliseconds);
    const [oldest] = this.#until.keys();
    if (this.#until.size > this.#max && oldest !== undefined) this.#until.delete(oldest);
  }

  delete(value: string): void {
    this.#until.delete(value);
  }

  has(value: string): boolean {
    const until = this.#until.get(value);
    return until !== undefined && until > this.#now();
  }

  /** Whether it is empty, so that callers need not build a string to look up. */
  get empty(): boolean {
    return this.#until.size === 0;
  }
}
