import type { Libc } from './libc.ts';

/** How long one wait lasts, in milliseconds: the process cannot end while its thread waits. */
const WAIT_MS = 250;

/**
 * Waits until descriptors can be read or written, by one epoll(7) on one thread of the pool. While there is nothing to
 * wait for it uses no thread. So slow clients, however many, cost neither threads nor CPU.
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
   * Resolves when the descriptor is ready or has failed, or when `signal` is aborted. It may resolve although the
   * descriptor is not ready, and never misses that it is. There may be one wait for a descriptor at a time.
   *
   * @throws Error when the kernel refuses the descriptor
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

  /** Must be called before a descriptor is closed that may have been waited for. */
  forget(fd: number): void {
    if (this.#known.delete(fd)) this.#libc.unwatch(this.#epoll, fd);
  }

  async #poll(): Promise<void> {
    this.#polling = true;
    try {
      while (this.#waiting.size > 0) {
        for (const fd of await this.#libc.ready(this.#epoll, WAIT_MS)) this.#waiting.get(fd)?.();
        // The waits that were woken end first, or begin again.
        await Promise.resolve();
      }
    } finally {
      this.#polling = false;
    }
  }
}
