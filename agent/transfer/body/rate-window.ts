/** Waiting time over which the rate is measured first, in milliseconds. */
const FIRST_WINDOW_MS = 3_000;

/** The longest such time, in milliseconds. */
const MAX_WINDOW_MS = 12_000;

/** The share of the time that is spent waiting for a peer that is the bottleneck. A slow client is one otherwise. */
const BOTTLENECK = 0.5;

/**
 * Measures the rate of a body while its peer is what the body waits for, window by window. A moment of congestion
 * is shorter than a window.
 */
export class RateWindow {
  readonly #now: () => number;
  #window = FIRST_WINDOW_MS;
  #start: number;
  #waited = 0;
  #bytes = 0;

  /** @param now milliseconds of a monotonic clock */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#start = now();
  }

  /** Records that bytes have arrived, after a wait of this length in milliseconds. */
  arrived(bytes: number, waited: number): void {
    this.#bytes += bytes;
    this.#waited += waited;
  }

  /**
   * Ends the window if it is over, and begins the next.
   *
   * @returns bytes per second of waiting; undefined while the window lasts, or when the peer was not the bottleneck
   */
  take(): number | undefined {
    if (this.#waited < this.#window) return undefined;
    const elapsed = this.#now() - this.#start;
    const rate = (this.#bytes * 1000) / this.#waited;
    const isBottleneck = this.#waited >= elapsed * BOTTLENECK;
    this.restart();
    return isBottleneck ? rate : undefined;
  }

  /** Begins a window now: the time before it is not counted. */
  restart(): void {
    this.#start = this.#now();
    this.#waited = 0;
    this.#bytes = 0;
  }

  /** Doubles the length of the windows, up to twelve seconds, since nothing came of the last one. */
  lengthen(): void {
    this.#window = Math.min(this.#window * 2, MAX_WINDOW_MS);
    this.restart();
  }
}
