/** Longest stretch that is counted at once, in milliseconds. */
const SLICE_MS = 100;

/**
 * A stretch of time that can be paused: its signal aborts when the time that it ran adds up to the whole. Runs
 * from the start.
 *
 * Time is counted in slices, and one that lasts too long counts as one: while this process is kept from working,
 * by others on the machine or by its CPU limit, peers may have answered, and nobody has looked.
 */
export class PausableTimeout implements Disposable {
  readonly #spent = new AbortController();
  #left: number;
  #since = 0;
  #timer: NodeJS.Timeout | undefined;

  readonly #reason: () => Error;

  /**
   * @param milliseconds the whole
   * @param reason makes the reason that the signal aborts with; default: an Error
   */
  constructor(milliseconds: number, reason: () => Error = () => new Error('timed out')) {
    this.#left = milliseconds;
    this.#reason = reason;
    this.resume();
  }

  get signal(): AbortSignal {
    return this.#spent.signal;
  }

  pause(): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#left -= Math.min(performance.now() - this.#since, SLICE_MS);
  }

  resume(): void {
    const slice = Math.max(0, Math.min(this.#left, SLICE_MS));
    this.#since = performance.now();
    this.#timer = setTimeout(() => {
      this.#left -= slice;
      if (this.#left > 0) this.resume();
      else this.#spent.abort(this.#reason());
    }, slice);
  }

  [Symbol.dispose](): void {
    this.pause();
  }
}
