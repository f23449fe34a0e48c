/**
 * How many peers may be asked at once beside the one that every request may ask. There is no queue: who gets
 * no slot goes on with what it has under way.
 */
export class AttemptSlots {
  readonly #most: number;
  #taken = 0;

  /** @param most slots in all, of all requests together; 1,024 by default */
  constructor(most = 1_024) {
    this.#most = most;
  }

  /** Whether there was a free slot; it is to be given back by {@link giveBack}. */
  take(): boolean {
    if (this.#taken >= this.#most) return false;
    this.#taken += 1;
    return true;
  }

  giveBack(): void {
    this.#taken -= 1;
  }
}
