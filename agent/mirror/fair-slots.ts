/**
 * A client may have this number of times as many slots as are free. So one client alone gets two thirds of all, and there
 * are slots for another one, however many clients take all that they can.
 */
const FREE_FACTOR = 2;

/**
 * A bounded number of slots that clients share. `FairShare`, for memory, shares amounts of any size among groups that
 * overlap, and leaves one alone half of them; here each request takes one slot of one client.
 */
export class FairSlots {
  readonly #max: number;
  readonly #byClient = new Map<string, number>();
  #taken = 0;

  /** @param max slots in all; 0 for no bound */
  constructor(max: number) {
    this.#max = max;
  }

  /** Slots that are taken. */
  get taken(): number {
    return this.#taken;
  }

  /**
   * Why there is no slot for the client: all are taken, or it has its share. `undefined` when there is one.
   *
   * @param client its address; `undefined` for one that needs no share
   */
  refusal(client: string | undefined): 'full' | 'share' | undefined {
    if (this.#max === 0) return undefined;
    const free = this.#max - this.#taken;
    if (free <= 0) return 'full';
    const own = client === undefined ? 0 : (this.#byClient.get(client) ?? 0);
    return own < FREE_FACTOR * free ? undefined : 'share';
  }

  /**
   * Takes a slot, also when none should be free; see {@link refusal}.
   *
   * @returns to be called once, when the slot is free again
   */
  take(client: string | undefined): () => void {
    this.#add(client, 1);
    return () => {
      this.#add(client, -1);
    };
  }

  #add(client: string | undefined, count: 1 | -1): void {
    this.#taken += count;
    if (client === undefined) return;
    const own = (this.#byClient.get(client) ?? 0) + count;
    if (own > 0) this.#byClient.set(client, own);
    else this.#byClient.delete(client);
  }
}
