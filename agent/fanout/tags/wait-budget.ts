import { BoundedMap } from '../../timing/bounded-map.ts';

/** How long a wait in vain is remembered, in milliseconds. */
const VAIN_MS = 30_000;
/** Tags of which that is remembered; some 100 bytes each. */
const MAX_TAGS = 1_000;

interface Spent {
  readonly ms: number;
  /** Until when it counts. */
  readonly until: number;
}

/** Bounds how long this node waits in vain for what other nodes say of one tag: for all resolves of half a minute together. */
export class WaitBudget {
  readonly #budgetMs: number;
  readonly #now: () => number;
  readonly #spent = new BoundedMap<string, Spent>(MAX_TAGS);

  /**
   * @param budgetMs for one tag, in milliseconds
   * @param now milliseconds on a clock that never jumps
   */
  constructor(budgetMs: number, now: () => number = () => performance.now()) {
    this.#budgetMs = budgetMs;
    this.#now = now;
  }

  /** How long a resolve of the tag may wait, in milliseconds. */
  left(name: string): number {
    return Math.max(0, this.#budgetMs - this.#recent(name));
  }

  /** A resolve has waited for so long, and was not told what the tag means. */
  spend(name: string, ms: number): void {
    this.#spent.set(name, { ms: this.#recent(name) + ms, until: this.#now() + VAIN_MS });
  }

  /** A wait has not been in vain. */
  clear(name: string): void {
    this.#spent.delete(name);
  }

  #recent(name: string): number {
    const spent = this.#spent.get(name);
    return spent !== undefined && this.#now() < spent.until ? spent.ms : 0;
  }
}
