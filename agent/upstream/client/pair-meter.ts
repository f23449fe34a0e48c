import type { RangeWindow } from './range-window.ts';
import { OBSERVE_MS } from './wait-meter.ts';

/** Finds out what two connections bring at the same time: the first one of a blob, and that of the window behind it. */
export class PairMeter {
  readonly #observeMs: number;
  readonly #now: () => number;
  #begun: { readonly at: number; readonly bytes: number } | undefined;
  #rate: number | undefined;
  #isOver = false;

  /** @param observeMs as of `WaitMeter` */
  constructor(observeMs = OBSERVE_MS, now: () => number = () => performance.now()) {
    this.#observeMs = observeMs;
    this.#now = now;
  }

  /** Bytes a millisecond; undefined where they did not load for long enough beside each other. */
  get rate(): number | undefined {
    return this.#rate;
  }

  /**
   * To be called for each chunk of the first connection.
   *
   * @param position of the byte behind it
   */
  look(position: number, { state, received }: Pick<RangeWindow, 'state' | 'received'>): void {
    if (this.#isOver || state === 'asked') return;
    const [at, bytes] = [this.#now(), position + received];
    this.#begun ??= { at, bytes };
    const elapsed = at - this.#begun.at;
    if (elapsed >= this.#observeMs) this.#rate = (bytes - this.#begun.bytes) / elapsed;
    // From now on the first one may have all of what they share.
    this.#isOver = state !== 'open';
  }
}
