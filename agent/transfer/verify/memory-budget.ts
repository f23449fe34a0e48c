/** Grants memory out of a fixed number of bytes, in the order of the requests. */
export class MemoryBudget {
  #free: number;
  readonly #queue: { readonly bytes: number; readonly grant: () => void }[] = [];

  /** @param bytes the whole; a request for more than this waits for ever */
  constructor(bytes: number) {
    this.#free = bytes;
  }

  /** Whether a request waits for memory. */
  get hasWaiters(): boolean {
    return this.#queue.length > 0;
  }

  /** Runs the task once the bytes are free. The bytes are free again when the task has ended. */
  async with<T>(bytes: number, task: () => Promise<T>): Promise<T> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.#queue.push({
      bytes,
      grant: () => {
        resolve(undefined);
      },
    });
    this.#grantNext();
    await promise;
    try {
      return await task();
    } finally {
      this.#free += bytes;
      this.#grantNext();
    }
  }

  #grantNext(): void {
    for (let [next] = this.#queue; next !== undefined; [next] = this.#queue) {
      if (next.bytes > this.#free) return;
      this.#queue.shift();
      this.#free -= next.bytes;
      next.grant();
    }
  }
}
