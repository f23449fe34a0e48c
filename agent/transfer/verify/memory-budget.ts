/** Shares out so many bytes of memory, first come, first served. */
export class MemoryBudget {
  #free: number;
  readonly #queue: { readonly bytes: number; readonly grant: () => void }[] = [];

  /** @param bytes in all; whoever takes more at once waits for ever */
  constructor(bytes: number) {
    this.#free = bytes;
  }

  /** Whether anybody waits. */
  get isWanted(): boolean {
    return this.#queue.length > 0;
  }

  /** Runs the task once so many bytes are free, which it has until it ends. */
  async with<T>(bytes: number, task: () => Promise<T>): Promise<T> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.#queue.push({
      bytes,
      grant: () => {
        resolve(undefined);
      },
    });
    this.#serve();
    await promise;
    try {
      return await task();
    } finally {
      this.#free += bytes;
      this.#serve();
    }
  }

  #serve(): void {
    for (let [next] = this.#queue; next !== undefined; [next] = this.#queue) {
      if (next.bytes > this.#free) return;
      this.#queue.shift();
      this.#free -= next.bytes;
      next.grant();
    }
  }
}
