/** A peer that delivers fewer bytes than this in {@link WINDOW_MS} counts as stalled. */
const MIN_BYTES_PER_WINDOW = 64 * 1024;

/** Waiting time over which the rate is measured, in milliseconds. */
const WINDOW_MS = 10_000;

/** Too few bytes in a window. */
export interface Stall {
  readonly bytes: number;
  /** Time spent waiting for them, in milliseconds. */
  readonly milliseconds: number;
}

/**
 * Measures how fast a peer delivers, to find one that trickles: 64 KiB in 10 s of waiting is the minimum. Only the
 * time spent waiting for the peer counts. The time in which the client takes the bytes does not, so a slow client
 * never makes its peer look stalled.
 */
export class StallMeter {
  readonly #now: () => number;
  #waitStart: number;
  #windowMs = 0;
  #windowBytes = 0;
  #totalMs = 0;

  /**
   * The first wait begins at once.
   *
   * @param now milliseconds of a monotonic clock
   */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#waitStart = now();
  }

  /** Time spent waiting for the peer in all, in milliseconds. */
  get totalMs(): number {
    return this.#totalMs;
  }

  /** Begins to wait for the next bytes. */
  wait(): void {
    this.#waitStart = this.#now();
  }

  /**
   * Records that bytes have arrived, which ends the wait.
   *
   * @param milliseconds the length of the wait, where it was measured elsewhere; default: since the wait began
   * @returns the length of the wait
   */
  arrived(bytes: number, milliseconds: number = this.#now() - this.#waitStart): number {
    this.#windowMs += milliseconds;
    this.#windowBytes += bytes;
    this.#totalMs += milliseconds;
    return milliseconds;
  }

  /**
   * Ends the window if it is over, and begins the next.
   *
   * @returns what arrived, if the window is over and that was too little
   */
  check(): Stall | undefined {
    if (this.#windowMs <= WINDOW_MS) return undefined;
    const window = { bytes: this.#windowBytes, milliseconds: this.#windowMs };
    this.#windowMs = 0;
    this.#windowBytes = 0;
    return window.bytes < MIN_BYTES_PER_WINDOW ? window : undefined;
  }
}
