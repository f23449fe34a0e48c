import type { StoreChange } from './content-store.ts';
import { Wakeup } from '../timing/wakeup.ts';

const RELIST: StoreChange = { kind: 'relist' };

/**
 * Changes on their way to one consumer. It never holds more than `limit`: a consumer that falls further
 * behind is told to list everything again instead.
 */
export class ChangeQueue {
  readonly #limit: number;
  readonly #signal: AbortSignal;
  #changes: StoreChange[] = [];
  #failure: unknown;
  #failed = false;
  readonly #wakeup = new Wakeup();

  constructor(limit: number, signal: AbortSignal) {
    this.#limit = limit;
    this.#signal = signal;
  }

  push(change: StoreChange): void {
    // Whoever is about to list everything sees what happened before that: while `relist` has not been
    // given out, it stands for all that came before it and all that comes after it.
    if (this.#changes[0]?.kind === 'relist') return;
    if (change.kind === 'relist' || this.#changes.length >= this.#limit) this.#changes = [RELIST];
    else this.#changes.push(change);
    this.#wakeup.call();
  }

  /** Makes `next` reject, after what is queued. */
  fail(error: unknown): void {
    this.#failed = true;
    this.#failure = error;
    this.#wakeup.call();
  }

  /** Takes the next change, waiting for one if need be; `undefined` once the signal is aborted. */
  async next(): Promise<StoreChange | undefined> {
    for (;;) {
      if (this.#signal.aborted) return undefined;
      const change = this.#changes.shift();
      if (change !== undefined) return change;
      if (this.#failed) throw this.#failure;
      await this.#wakeup.wait(this.#signal);
    }
  }
}
