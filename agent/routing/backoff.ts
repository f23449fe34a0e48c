/** Bounds of a {@link Backoff}, in milliseconds. */
export interface BackoffInit {
  readonly first: number;
  readonly most: number;
}

/**
 * Waiting times that double from `first` to `most`, each with a quarter of jitter either way, so that nodes
 * that failed together do not try again together.
 */
export class Backoff {
  readonly #init: BackoffInit;
  #next: number;

  constructor(init: BackoffInit) {
    this.#init = init;
    this.#next = init.first;
  }

  /** The next waiting time in milliseconds. */
  next(): number {
    const wait = this.#next;
    this.#next = Math.min(wait * 2, this.#init.most);
    return jitter(wait);
  }

  reset(): void {
    this.#next = this.#init.first;
  }
}

/** The time, give or take a quarter of it. */
export function jitter(milliseconds: number): number {
  return milliseconds * (0.75 + Math.random() / 2);
}
