import type { Libc } from './libc.ts';

/** How long one wait lasts, in milliseconds: the process cannot end while its thread is in there. */
const WAIT_MS = 250;

/**
 * Waits for descriptors that would block, however many, on one thread of the pool, and on none while nobody
 * waits: slow clients cost neither threads nor CPU.
 */
export class Readiness {
  readonly #libc: Libc;
  readonly #epoll: number;
  readonly #known = new Set<number>();
  readonly #waiting = new Map<number, () => void>();
  #polling = false;

  /** @throws Error when there are too many descriptors */
  constructor(libc: Libc) {
    this.#libc = libc;
    this.#epoll = libc.createEpoll();
  }

  /**
   * Resolves when the descriptor is ready or has failed, or when `signal` is aborted; never too late, but
   * perhaps for nothing. One wait a descriptor.
   *
   * @throws Error when the kernel does not take the descriptor
   */
  async wait(fd: number, ready: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const wake = (): void => {
      resolve(undefined);
    };
    this.#libc.watch(this.#epoll, fd, ready, this.#known.has(fd));
    this.#known.add(fd);
    this.#waiting.set(fd, wake);
    signal.addEventListener('abort', wake, { once: true });
    if (!this.#polling) void this.#poll();
    await promise;
    this.#waiting.delete(fd);
    signal.removeEventListener('abort', wake);
  }

  /** To be called before a descriptor that may have been waited for is closed. */
  forget(fd: number): void {
    if (this.#known.delete(fd)) this.#libc.unwatch(this.#epoll, fd);
  }

  async #poll(): Promise<void> {
    this.#polling = true;
    try {
      while (this.#waiting.size > 0) {
        for (const fd of await this.#libc.ready(this.#epoll, WAIT_MS)) this.#waiting.get(fd)?.();
        // Those that were woken take themselves off the list, or wait anew.
        await Promise.resolve();
      }
    } finally {
      this.#polling = false;
    }
  }
}
