/** Longest time that is counted at once, in milliseconds. */
const SLICE_MS = 100;

/**
 * A timeout that can be paused: its signal aborts when the time in which it ran adds up to the whole. It runs from the
 * start.
 *
 * Time is counted in slices, and a slice that lasts too long counts as one. While this process does not get to run, because
 * of other processes or its CPU limit, peers may have answered without being read.
 */
export class PausableTimeout implements Disposable {
  readonly #spent = new AbortController();
  #left: number;
  #since = 0;
  #timer: NodeJS.Timeout | undefined;

  readonly #reason: () => Error;

  /**
   * @param milliseconds the whole time
   * @param reason makes the reason that the signal aborts with. Default: an Error
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
