import { PeerError } from './peer-error.ts';

/**
 * A stretch of time that can be paused: its signal aborts when the time that it ran adds up to the whole.
 * Runs from the start.
 */
export class Budget implements Disposable {
  readonly #spent = new AbortController();
  #left: number;
  #since = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param milliseconds the whole */
  constructor(milliseconds: number) {
    this.#left = milliseconds;
    this.resume();
  }

  get signal(): AbortSignal {
    return this.#spent.signal;
  }

  pause(): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#left -= performance.now() - this.#since;
  }

  resume(): void {
    this.#since = performance.now();
    this.#timer = setTimeout(
      () => {
        this.#spent.abort(new PeerError('timeout', 'no peer answered in time'));
      },
      Math.max(0, this.#left),
    );
  }

  [Symbol.dispose](): void {
    this.pause();
  }
}
