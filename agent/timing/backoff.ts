import { pause } from './pause.ts';

/** Bounds of a {@link Backoff}, in milliseconds. */
export interface BackoffInit {
  /** The first wait; 100 by default. */
  readonly first?: number;
  /** The longest wait; 5,000 by default. */
  readonly most?: number;
}

/**
 * Waits that double from `first` to `most`, each cut by up to a half at random, so that nodes that failed
 * together do not try again together.
 */
export class Backoff {
  readonly #first: number;
  readonly #most: number;
  #next: number;

  constructor({ first = 100, most = 5_000 }: BackoffInit = {}) {
    this.#first = first;
    this.#most = most;
    this.#next = first;
  }

  /** The next wait in milliseconds. */
  next(): number {
    const longest = this.#next;
    this.#next = Math.min(this.#most, longest * 2);
    return longest * (0.5 + Math.random() / 2);
  }

  /** Resolves after the next wait, or at once when `signal` is aborted; never rejects. */
  wait(signal: AbortSignal): Promise<void> {
    return pause(this.next(), signal);
  }

  /** Begins again with the shortest wait. */
  reset(): void {
    this.#next = this.#first;
  }
}

/** The interval of a periodic task, moved by up to a tenth either way so that nodes do not act in step. */
export function jittered(milliseconds: number): number {
  return milliseconds * (0.9 + Math.random() * 0.2);
}
