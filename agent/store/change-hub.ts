import { ChangeQueue } from './change-queue.ts';
import type { StoreChange } from './content-store.ts';

export interface ChangeHubInit {
  /**
   * Watches the store until `signal` is aborted, and resolves when its timers and watchers have ended. It reports
   * through `reached`, `lost` and `publish`. Runs only while there are consumers.
   */
  readonly produce: (signal: AbortSignal) => Promise<void>;
  /** Changes queued for one consumer; 4,096 by default. Beyond it the consumer gets `relist`. */
  readonly queueLimit?: number;
  /** Called when the store can be reached, and when it no longer can. */
  readonly onReachable?: ((reachable: boolean) => void) | undefined;
}

/** Passes the changes that one producer finds to all consumers of a store's `changes()`. */
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

  /** As `ContentStore.changes`. */
  async *follow(signal: AbortSignal): AsyncGenerator<StoreChange, void, undefined> {
    if (signal.aborted) return;
    const queue = new ChangeQueue(this.#queueLimit, signal);
    this.#join(queue);
    // Not only below: a consumer that is aborted during its own work may never ask for the next change.
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

  /** Reports that the store can be reached, for the first time or again. Consumers relist. */
  reached(): void {
    this.#reachable = true;
    this.#onReachable(true);
    this.publish({ kind: 'relist' });
  }

  /** Reports that the store cannot be reached. A new consumer gets its first `relist` when it is back. */
  lost(): void {
    this.#reachable = false;
    this.#onReachable(false);
  }

  /** Passes a change to all consumers. */
  publish(change: StoreChange): void {
    for (const queue of this.#queues) queue.push(change);
  }

  #join(queue: ChangeQueue): void {
    this.#queues.add(queue);
    if (this.#reachable) queue.push({ kind: 'relist' });
    if (this.#queues.size > 1) return;
    const stop = new AbortController();
    this.#stop = stop;
    // After a producer that is still ending, so that two never run at the same time.
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
