import { ChangeQueue } from './change-queue.ts';
import type { StoreChange } from './content-store.ts';

export interface ChangeHubInit {
  /**
   * Watches the store until `signal` is aborted and then resolves, having ended its timers and watchers.
   * It says what it finds through `reached`, `lost` and `publish`. Runs only while someone follows.
   */
  readonly produce: (signal: AbortSignal) => Promise<void>;
  /** Most changes that wait for one consumer; 4,096 by default. Beyond that it is told to relist. */
  readonly queueLimit?: number;
  /** Told when the store can be reached, and when it no longer can. */
  readonly onReachable?: ((reachable: boolean) => void) | undefined;
}

/** Hands the changes that one producer finds to every consumer of a store's `changes()`. */
export class ChangeHub {
  readonly #produce: (signal: AbortSignal) => Promise<void>;
  readonly #queueLimit: number;
  readonly #onReachable: (reachable: boolean) => void;
  readonly #queues = new Set<ChangeQueue>();
  #reachable = false;
  #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(init: ChangeHubInit) {
    this.#produce = init.produce;
    this.#queueLimit = init.queueLimit ?? 4_096;
    this.#onReachable = init.onReachable ?? (() => undefined);
  }

  /** As `ContentStore.changes` has it. */
  async *follow(signal: AbortSignal): AsyncGenerator<StoreChange, void, undefined> {
    if (signal.aborted) return;
    const queue = new ChangeQueue(this.#queueLimit, signal);
    this.#join(queue);
    // Not only below: a consumer that was aborted amid its own work may never come back for the next change.
    const leave = () => {
      void this.#leave(queue);
    };
    signal.addEventListener('abort', leave, { once: true });
    try {
      for (;;) {
        const change = await queue.next();
        if (change === undefined) return;
        yield change;
      }
    } finally {
      signal.removeEventListener('abort', leave);
      await this.#leave(queue);
    }
  }

  /** The store can be reached, for the first time or again: changes may have been missed before this. */
  reached(): void {
    this.#reachable = true;
    this.#onReachable(true);
    this.publish({ kind: 'relist' });
  }

  /** The store cannot be reached: who joins now is told nothing before it is back. */
  lost(): void {
    this.#reachable = false;
    this.#onReachable(false);
  }

  publish(change: StoreChange): void {
    for (const queue of this.#queues) queue.push(change);
  }

  #join(queue: ChangeQueue): void {
    this.#queues.add(queue);
    if (this.#reachable) queue.push({ kind: 'relist' });
    if (this.#queues.size > 1) return;
    const stop = new AbortController();
    this.#stop = stop;
    // A producer that is still ending is waited for, so that never two of them run.
    this.#running = this.#running
      .then(() => this.#produce(stop.signal))
      .catch((error: unknown) => {
        for (const each of this.#queues) each.fail(error);
      });
  }

  async #leave(queue: ChangeQueue): Promise<void> {
    this.#queues.delete(queue);
    if (this.#queues.size > 0) return;
    this.#reachable = false;
    this.#stop.abort();
    await this.#running;
  }
}
