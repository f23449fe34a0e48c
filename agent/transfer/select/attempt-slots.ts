/**
 * Limits how many peers all requests together ask at the same time. Each request may ask one peer without a slot. There
 * is no queue: a request that gets no slot continues with the attempts that it has in progress.
 */
export class AttemptSlots {
  readonly #max: number;
  #taken = 0;

  /** @param max slots of all requests together. Default 1,024 */
  constructor(max = 1_024) {
    this.#max = max;
  }

  /** Takes a slot if one is free. A slot that was taken must be released by {@link release}. */
  tryAcquire(): boolean {
    if (this.#taken >= this.#max) return false;
    this.#taken += 1;
    return true;
  }

  /** Releases a slot. */
  release(): void {
    this.#taken -= 1;
  }
}
