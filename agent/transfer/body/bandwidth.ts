/** Size of the bucket, as time at the full rate, in milliseconds. */
const BURST_MS = 100;

/** Bounds of a slice in bytes. Slices are smaller where the rate is low, so that many transfers all make progress. */
const MAX_SLICE = 256 * 1024;
const MIN_SLICE = 4 * 1024;

/** Slices into which the bytes of one second are divided. */
const SLICES_PER_SECOND = 64;

interface Waiter {
  readonly bytes: number;
  readonly resolve: () => void;
}

/**
 * A token bucket that all transfers of this node in one direction share. Transfers are served in the order of their
 * requests, and request one slice at a time, so they share the rate evenly.
 */
export class Bandwidth {
  /** Bytes to request at once. */
  readonly slice: number;
  readonly #rate: number;
  readonly #burst: number;
  readonly #now: () => number;
  readonly #waiting = new Set<Waiter>();
  #tokens: number;
  #filledAt: number;
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param rate bytes per second
   * @param now milliseconds of a monotonic clock
   */
  constructor(rate: number, now: () => number = () => performance.now()) {
    this.#rate = rate;
    this.#burst = (rate * BURST_MS) / 1000;
    this.#tokens = this.#burst;
    this.#now = now;
    this.#filledAt = now();
    this.slice = Math.round(Math.max(MIN_SLICE, Math.min(MAX_SLICE, rate / SLICES_PER_SECOND)));
  }

  /**
   * Resolves when this number of bytes may be moved. The number may be larger than the bucket: the bucket is then in
   * debt, and the next request waits longer.
   *
   * @throws the signal's reason when that is aborted; nothing has been taken then
   */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.#fill();
    if (this.#waiting.size === 0 && this.#tokens > 0) {
      this.#tokens -= bytes;
      return;
    }
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    const waiter: Waiter = {
      bytes,
      resolve: () => {
        resolve(undefined);
      },
    };
    const onAbort = (): void => {
      this.#waiting.delete(waiter);
      reject(signal.reason as Error);
    };
    this.#waiting.add(waiter);
    signal.addEventListener('abort', onAbort);
    this.#serve();
    try {
      await promise;
    } finally {
      signal.removeEventListener('abort', onAbort);
      if (this.#waiting.size === 0) this.#stopTimer();
    }
  }

  /** Takes bytes without waiting, for content that is too small to be delayed. Later requests wait longer for it. */
  charge(bytes: number): void {
    this.#fill();
    this.#tokens -= bytes;
  }

  /** Yields the body in slices, at the allowed rate. */
  async *pace(body: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    for await (const chunk of body) {
      for (let start = 0; start < chunk.length; start += this.slice) {
        const slice = chunk.subarray(start, start + this.slice);
        await this.take(slice.length, signal);
        yield slice;
      }
    }
  }

  #fill(): void {
    const now = this.#now();
    const added = ((now - this.#filledAt) * this.#rate) / 1000;
    this.#filledAt = now;
    this.#tokens = Math.min(this.#burst, this.#tokens + added);
  }

  #serve(): void {
    this.#fill();
    for (const waiter of this.#waiting) {
      if (this.#tokens <= 0) break;
      this.#tokens -= waiter.bytes;
      this.#waiting.delete(waiter);
      waiter.resolve();
    }
    this.#stopTimer();
    if (this.#waiting.size === 0) return;
    const milliseconds = Math.ceil((-this.#tokens * 1000) / this.#rate) + 1;
    this.#timer = setTimeout(() => {
      this.#serve();
    }, milliseconds);
  }

  #stopTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
