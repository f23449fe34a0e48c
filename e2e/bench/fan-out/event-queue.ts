/** What happens later, in the order of time; of one time in the order in which it was added. */
export class EventQueue {
  readonly #heap: { readonly at: number; readonly order: number; readonly run: () => void }[] = [];
  #added = 0;
  /** The time of the event that runs, in milliseconds. */
  now = 0;

  /** Runs `run` at this time, or now when that has passed. */
  at(time: number, run: () => void): void {
    const heap = this.#heap;
    let index = heap.push({ at: Math.max(time, this.now), order: this.#added++, run }) - 1;
    while (index > 0) {
      const above = (index - 1) >> 1;
      if (!this.#isBefore(index, above)) break;
      this.#swap(index, above);
      index = above;
    }
  }

  /** Runs all events up to this time, with those that they add. */
  runUntil(time: number): void {
    for (
      let first = this.#heap[0];
      first !== undefined && first.at <= time;
      first = this.#heap[0]
    ) {
      this.#removeFirst();
      this.now = first.at;
      first.run();
    }
    this.now = time;
  }

  #removeFirst(): void {
    const heap = this.#heap;
    this.#swap(0, heap.length - 1);
    heap.pop();
    let index = 0;
    for (;;) {
      let least = index;
      for (const below of [2 * index + 1, 2 * index + 2])
        if (below < heap.length && this.#isBefore(below, least)) least = below;
      if (least === index) return;
      this.#swap(index, least);
      index = least;
    }
  }

  #isBefore(one: number, other: number): boolean {
    const [a, b] = [this.#heap[one], this.#heap[other]];
    if (a === undefined || b === undefined) return false;
    return a.at === b.at ? a.order < b.order : a.at < b.at;
  }

  #swap(one: number, other: number): void {
    const [a, b] = [this.#heap[one], this.#heap[other]];
    if (a === undefined || b === undefined) return;
    this.#heap[one] = b;
    this.#heap[other] = a;
  }
}
