/** Longest time that is counted at once, in milliseconds. */
const SLICE_MS = 100;

/**
 * A timeout that can be extended for a while. Its signal aborts when the time that it ran reaches its own time, or the
 * longest extension while there is one. It runs from the start and never stands still.
 *
 * Time is counted in slices, and a slice that lasts too long counts as one. While this process does not get to run, because
 * of other processes or its CPU limit, peers may have answered without being read.
 */
export class ExtendableTimeout implements Disposable {
  readonly #spent = new AbortController();
  readonly #extensions = new Set<{ readonly until: number }>();
  readonly #reason: () => Error;
  /** Its own time, in milliseconds. */
  readonly milliseconds: number;
  #elapsed = 0;
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param milliseconds its own time
   * @param reason makes the reason that the signal aborts with. Default: an Error
   */
  constructor(milliseconds: number, reason: () => Error = () => new Error('timed out')) {
    this.milliseconds = milliseconds;
    this.#reason = reason;
    this.#next();
  }

  get signal(): AbortSignal {
    return this.#spent.signal;
  }

  /**
   * Lets the timeout run longer until the extension is disposed of. If its own time is over by then, it aborts at once.
   *
   * @param milliseconds from the start of the timeout
   */
  extendTo(milliseconds: number): Disposable {
    const extension = { until: milliseconds };
    this.#extensions.add(extension);
    return {
      [Symbol.dispose]: () => {
        this.#extensions.delete(extension);
        this.#abortIfOver();
      },
    };
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #next(): void {
    const slice = Math.max(0, Math.min(this.#limit - this.#elapsed, SLICE_MS));
    this.#timer = setTimeout(() => {
      this.#elapsed += slice;
      if (!this.#abortIfOver()) this.#next();
    }, slice);
  }

  #abortIfOver(): boolean {
    if (this.#timer === undefined || this.#elapsed < this.#limit) return false;
    this[Symbol.dispose]();
    this.#spent.abort(this.#reason());
    return true;
  }

  get #limit(): number {
    let limit = this.milliseconds;
    for (const { until } of this.#extensions) limit = Math.max(limit, until);
    return limit;
  }
}
