import { pause } from './pause.ts';

/** Bounds of a {@link Backoff}, in milliseconds. */
export interface BackoffInit {
  /** The first wait. */
  readonly first: number;
  /** The longest wait. */
  readonly max: number;
}

const DEFAULTS: BackoffInit = { first: 100, max: 5_000 };

/**
 * Waits that double from `first` to `max`. Each is shortened by up to a half at random, so that nodes that failed at the
 * same time do not try again at the same time.
 */
export class Backoff {
  readonly #first: number;
  readonly #max: number;
  #next: number;

  /** @param init default: from 100 ms to 5 s */
  constructor({ first, max }: BackoffInit = DEFAULTS) {
    this.#first = first;
    this.#max = max;
    this.#next = first;
  }

  /** The next wait, in milliseconds. */
  next(): number {
    const longest = this.#next;
    this.#next = Math.min(this.#max, longest * 2);
    return longest * (0.5 + Math.random() / 2);
  }

  /** Resolves after the next wait, or at once when `signal` is aborted; never rejects. */
  wait(signal: AbortSignal): Promise<void> {
    return pause(this.next(), signal);
  }

  /** Continues with the first wait. */
  reset(): void {
    this.#next = this.#first;
  }
}

/** The interval of a periodic task, changed by up to a tenth at random, so that nodes do not act at the same time. */
export function jittered(milliseconds: number): number {
  return milliseconds * (0.9 + Math.random() * 0.2);
}
