import type { Forwarded } from './resuming-blob.ts';

/** How long bytes are counted for one rate, in milliseconds. */
export const OBSERVE_MS = 500;
/** Share of the time that the registry has to be waited for, so that it limits and not the client. */
const WAITING_SHARE = 0.8;
/** A connection whose rate grows by more than this between two rates has not reached its own. */
const GROWTH = 1.25;
/** Rate from which on one connection is enough, in bytes a millisecond: 64 MiB a second. */
const ENOUGH = (64 * 1024 * 1024) / 1000;

/** Finds out whether a connection delivers at a steady rate for which the client has to wait. */
export class WaitMeter {
  readonly #observeMs: number;
  readonly #now: () => number;
  #last: number;
  #bytes = 0;
  #waited = 0;
  #elapsed = 0;
  #rate = 0;
  #isWaiting = false;

  /** @param observeMs default {@link OBSERVE_MS} */
  constructor(observeMs = OBSERVE_MS, now: () => number = () => performance.now()) {
    this.#observeMs = observeMs;
    this.#now = now;
    this.#last = now();
  }

  /** Whether the two last rates say so. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  /** The last rate, in bytes a millisecond; 0 before there is one. */
  get rate(): number {
    return this.#rate;
  }

  /** To be called once the client has taken the chunk. */
  add({ length, waited }: Forwarded): void {
    const now = this.#now();
    this.#bytes += length;
    this.#waited += waited;
    this.#elapsed += now - this.#last;
    this.#last = now;
    if (this.#elapsed < this.#observeMs) return;
    const before = this.#rate;
    this.#rate = this.#bytes / this.#elapsed;
    const isSteady = before > 0 && this.#rate <= before * GROWTH;
    const isForRegistry = this.#waited >= this.#elapsed * WAITING_SHARE;
    this.#isWaiting = isSteady && isForRegistry && this.#rate < ENOUGH;
    [this.#bytes, this.#waited, this.#elapsed] = [0, 0, 0];
  }
}
