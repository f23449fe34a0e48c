/** A part of a program that has to be started, and stopped at the end. */
export interface Part<T = unknown> {
  /** Starts the part. A part whose start fails is stopped as well. */
  start(): Promise<T> | T;
  stop(): Promise<void> | void;
}

/**
 * The running parts of a program. They start in a declared order, and stop in the reverse order, one after the other.
 *
 * A part that fails to stop does not keep the others running: the error is thrown once all have stopped.
 */
export class Lifecycle<Name extends string> implements AsyncDisposable {
  readonly #order: readonly Name[];
  readonly #running = new AsyncDisposableStack();
  #turn = 0;

  /** @param order the names of all parts, in the order of their start */
  constructor(order: readonly Name[]) {
    this.#order = order;
  }

  /**
   * Starts a part.
   *
   * @returns what its `start` returned
   * @throws Error when an earlier call named this part or a later one; what `start` throws
   */
  async start<T>(name: Name, part: Part<T>): Promise<T> {
    this.add(name, part);
    return await part.start();
  }

  /**
   * Takes a part that runs already, to stop it at the end.
   *
   * @throws Error when an earlier call named this part or a later one
   */
  add(name: Name, part: Pick<Part, 'stop'>): void {
    const place = this.#order.indexOf(name, this.#turn);
    if (place < 0) throw new Error(`"${name}" cannot start here: its place in the order is before`);
    this.#turn = place + 1;
    this.#running.defer(() => part.stop());
  }

  /**
   * Stops all parts. A second call does nothing.
   *
   * @throws what a part threw; SuppressedError when several did
   */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running.disposeAsync();
  }
}
