/**
 * Shares a fixed amount among groups of requests. A group may take as much as it leaves free: alone half of all, two
 * groups a third each, and so on. So there is always something left for a group that comes later, and what no group
 * uses is not reserved (Choudhury and Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches").
 *
 * Only when nothing is in use, a group may take all: otherwise a request for more than half could never be granted.
 *
 * `FairSlots` of the mirror shares in a similar way what has no size: one slot a request, of one client. It may leave one
 * alone two thirds, and says why it refuses.
 */
export class FairShare {
  readonly #total: number;
  #free: number;
  readonly #used = new Map<string, number>();

  /** @param total the whole; a request for more than this is never granted */
  constructor(total: number) {
    this.#total = total;
    this.#free = total;
  }

  /**
   * Takes the amount if every group that it belongs to may have it.
   *
   * @returns whether it was taken; then it must be released by {@link release}
   */
  tryTake(amount: number, groups: readonly string[]): boolean {
    const left = this.#free - amount;
    if (left < 0) return false;
    const isUnused = this.#free === this.#total;
    if (!isUnused && groups.some((group) => this.#usedBy(group) + amount > left)) return false;
    this.#free = left;
    for (const group of groups) this.#used.set(group, this.#usedBy(group) + amount);
    return true;
  }

  /** Releases an amount that was taken for these groups. */
  release(amount: number, groups: readonly string[]): void {
    this.#free += amount;
    for (const group of groups) {
      const used = this.#usedBy(group) - amount;
      if (used > 0) this.#used.set(group, used);
      else this.#used.delete(group);
    }
  }

  #usedBy(group: string): number {
    return this.#used.get(group) ?? 0;
  }
}
