import { allowedMs } from './verify-body.ts';

/** Interval at which an overdue reservation checks whether others wait for memory, in milliseconds. */
const CHECK_MS = 250;

/** What a {@link MemoryReservation} covers. */
export interface MemoryReservationInit {
  /** Bytes. */
  readonly size: number;
  /** Whether others wait for memory. */
  readonly isWanted: () => boolean;
  /** Called once, when the memory is free again. */
  readonly onFree: () => void;
}

/**
 * Memory with verified bytes that are on their way to a client. A client has as much time as a peer has to send them.
 * After that the client is given up as soon as others wait for memory. Otherwise a few clients that read nothing would
 * block all others, or take memory without a bound.
 */
export class MemoryReservation implements Disposable {
  readonly #init: MemoryReservationInit;
  readonly #overdue = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #isFree = false;

  constructor(init: MemoryReservationInit) {
    this.#init = init;
    this.#checkAfter(allowedMs(init.size));
  }

  /** Aborted when the client has to be given up. The memory is free then. */
  get overdue(): AbortSignal {
    return this.#overdue.signal;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    if (this.#isFree) return;
    this.#isFree = true;
    this.#init.onFree();
  }

  #checkAfter(milliseconds: number): void {
    this.#timer = setTimeout(() => {
      if (!this.#init.isWanted()) {
        this.#checkAfter(CHECK_MS);
        return;
      }
      this.#overdue.abort();
      this[Symbol.dispose]();
    }, milliseconds);
  }
}
