/** Work that goes on until a signal ends it. */
export interface Loop {
  /** Resolves soon after the signal is aborted. */
  run(signal: AbortSignal): Promise<void>;
}

/** Runs several loops at once, as one part of the agent. */
export class Loops {
  readonly #loops: readonly Loop[];
  readonly #stopping = new AbortController();
  #ended: Promise<unknown> | undefined;

  constructor(loops: readonly Loop[]) {
    this.#loops = loops;
  }

  start(): void {
    this.#ended = Promise.all(this.#loops.map((loop) => loop.run(this.#stopping.signal)));
  }

  /**
   * Ends the loops and waits for them.
   *
   * @throws what the first of them failed with
   */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#ended;
  }
}
