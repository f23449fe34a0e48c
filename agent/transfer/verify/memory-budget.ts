import { FairShare } from './fair-share.ts';

/** Requests that wait for memory at once, shared among their groups like the memory. */
const MAX_WAITING = 1_024;

/** There is no memory for content that has to be verified before the client gets it. */
export class MemoryBusyError extends Error {
  override readonly name = 'MemoryBusyError';
  readonly code = 'ERR_MEMORY_BUSY';
}

interface Waiter {
  readonly bytes: number;
  readonly groups: readonly string[];
  readonly grant: () => void;
}

/**
 * Grants memory out of a fixed number of bytes. It is shared among groups of requests, see {@link FairShare}: a group
 * that uses much of it waits, and other groups get the free memory. Of the requests whose group may have more, the one
 * that has waited longest comes first.
 */
export class MemoryBudget {
  readonly #memory: FairShare;
  readonly #places: FairShare;
  readonly #waiting = new Set<Waiter>();

  /**
   * @param bytes the whole
   * @param maxWaiting requests that may wait at once. Default 1,024
   */
  constructor(bytes: number, maxWaiting = MAX_WAITING) {
    this.#memory = new FairShare(bytes);
    this.#places = new FairShare(maxWaiting);
  }

  /** Whether a request waits for memory. */
  get hasWaiters(): boolean {
    return this.#waiting.size > 0;
  }

  /**
   * Waits until the bytes are free.
   *
   * @param groups what the request belongs to, such as an image and a peer; each has a share of its own
   * @param signal ends the wait
   * @returns to be disposed of when the bytes are no longer needed; more than once does no harm
   * @throws MemoryBusyError when too many wait already, or the signal is aborted first
   */
  async acquire(
    bytes: number,
    groups: readonly string[],
    signal: AbortSignal,
  ): Promise<Disposable> {
    if (!this.#memory.tryTake(bytes, groups)) await this.#wait(bytes, groups, signal);
    let isHeld = true;
    return {
      [Symbol.dispose]: () => {
        if (!isHeld) return;
        isHeld = false;
        this.#memory.release(bytes, groups);
        this.#grantWaiting();
      },
    };
  }

  async #wait(bytes: number, groups: readonly string[], signal: AbortSignal): Promise<void> {
    if (signal.aborted || !this.#places.tryTake(1, groups)) {
      throw new MemoryBusyError('too many requests wait for memory');
    }
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    const waiter: Waiter = {
      bytes,
      groups,
      grant: () => {
        resolve(undefined);
      },
    };
    const giveUp = (): void => {
      this.#waiting.delete(waiter);
      reject(new MemoryBusyError('no memory in time'));
    };
    this.#waiting.add(waiter);
    signal.addEventListener('abort', giveUp, { once: true });
    try {
      await promise;
    } finally {
      this.#waiting.delete(waiter);
      this.#places.release(1, groups);
      signal.removeEventListener('abort', giveUp);
    }
  }

  #grantWaiting(): void {
    for (const waiter of this.#waiting) {
      if (!this.#memory.tryTake(waiter.bytes, waiter.groups)) continue;
      this.#waiting.delete(waiter);
      waiter.grant();
    }
  }
}
