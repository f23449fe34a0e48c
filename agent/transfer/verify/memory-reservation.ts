import { SLOWEST_RATE, GRACE_MS } from './verified-body.ts';

/** Between two looks whether others wait for a room whose time is over, in milliseconds. */
const LOOK_MS = 250;

/** What a {@link MemoryReservation} is part of. */
export interface MemoryReservationInit {
  /** Its size in bytes. */
  readonly size: number;
  /** Whether others wait for memory. */
  readonly isWanted: () => boolean;
  /** Called once, when it is free again. */
  readonly onFree: () => void;
}

/**
 * Memory with bytes in it that are on their way to a client. Who takes them more slowly than a peer may send them has
 * to leave when others wait: else a few clients that take nothing would hold up everybody, or cost memory without end.
 */
export class MemoryReservation implements Disposable {
  readonly #init: MemoryReservationInit;
  readonly #overdue = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #free = false;

  constructor(init: MemoryReservationInit) {
    this.#init = init;
    this.#wait(GRACE_MS + (init.size / SLOWEST_RATE) * 1000);
  }

  /** Aborted when the client is to be given up; the room is free then. */
  get overdue(): AbortSignal {
    return this.#overdue.signal;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    if (this.#free) return;
    this.#free = true;
    this.#init.onFree();
  }

  #wait(milliseconds: number): void {
    this.#timer = setTimeout(() => {
      if (!this.#init.isWanted()) {
        this.#wait(LOOK_MS);
        return;
      }
      this.#overdue.abort();
      this[Symbol.dispose]();
    }, milliseconds);
  }
}
