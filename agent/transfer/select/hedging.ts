import type { Attempt } from './race-attempts.ts';

/**
 * Whether a race asks peers beside a late one.
 *
 * `none`: no peer that the race waited for is late. `due`: one is late, and the next peer that is asked is a hedge.
 * `asked`: hedges have been asked.
 */
type HedgingState = 'none' | 'due' | 'asked';

/** The hedges of a race, up to the answer that it takes. */
export class Hedging {
  #state: HedgingState = 'none';

  /** A peer that the race waited for is late. */
  peerIsLate(): void {
    if (this.#state === 'none') this.#state = 'due';
  }

  /** One more peer is asked; returns what for. */
  next(): Attempt['cause'] {
    if (this.#state === 'none') return 'regular';
    this.#state = 'asked';
    return 'hedge';
  }

  /**
   * The race takes an answer, and begins without hedges again.
   *
   * @returns whether a hedge or the late peer gave it; undefined when no hedge was asked
   */
  won(cause: Attempt['cause']): 'won' | 'lost' | undefined {
    const wasAsked = this.#state === 'asked';
    this.#state = 'none';
    if (!wasAsked) return undefined;
    return cause === 'hedge' ? 'won' : 'lost';
  }
}
