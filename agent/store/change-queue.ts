import type { StoreChange } from './content-store.ts';
import { Wakeup } from '../timing/wakeup.ts';

const RELIST: StoreChange = { kind: 'relist' };

/**
 * The changes that wait for one consumer. Beyond its limit they are replaced by one `relist`.
 */
export class ChangeQueue {
  readonly #limit: number;
  readonly #signal: AbortSignal;
  #changes: StoreChange[] = [];
  #failure: unknown;
  #failed = false;
  readonly #wakeup = new Wakeup();

  /** @param limit changes that wait at most */
  constructor(limit: number, signal: AbortSignal) {
    this.#limit = limit;
    this.#signal = signal;
  }

  /** Adds a change. */
  push(change: StoreChange): void {
    // A consumer that is about to list everything will see all changes up to then. So a `relist` that has not been
    // taken yet covers the changes before it and after it.
    if (this.#changes[0]?.kind === 'relist') return;
    if (change.kind === 'relist' || this.#changes.length >= this.#limit) this.#changes = [RELIST];
    else this.#changes.push(change);
    this.#wakeup.call();
  }

  /** Makes `next` reject once the queued changes are taken. */
  fail(error: unknown): void {
    this.#failed = true;
    this.#failure = error;
    this.#wakeup.call();
  }

  /** Takes the next change, and waits for one if there is none. `undefined` once the signal is aborted. */
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
