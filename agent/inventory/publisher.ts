import type { Logger } from 'pino';

import type { Metrics } from '../metrics/metrics.ts';
import type { Router } from '../routing/router.ts';
import { Deadline } from '../timing/deadline.ts';
import { pause } from '../timing/pause.ts';
import { Wakeup } from '../timing/wakeup.ts';

/** How long keys are gathered before they are advertised together, in milliseconds. */
const GATHER_MS = 3;

/** Pause before keys that the router could not take are tried again, in milliseconds. */
const RETRY_MS = 1_000;

/** How long the router may take for a batch before it is tried again, in milliseconds. */
const CALL_TIMEOUT_MS = 30_000;

/** What a {@link Publisher} works with. */
export interface PublisherComponents {
  readonly router: Pick<Router, 'advertise' | 'withdraw'>;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/** Options of {@link Publisher}. */
export interface PublisherInit {
  /** Default {@link CALL_TIMEOUT_MS}. */
  readonly callTimeoutMs?: number;
}

/**
 * Keeps the directory in step with the set of keys that this node wants to be known for.
 *
 * Wishes may come one by one and change back and forth; the router sees them in batches, and only what
 * really changed. One batch is on its way at a time, so that a withdrawal never overtakes the
 * announcement that came before it.
 */
export class Publisher {
  readonly #router: Pick<Router, 'advertise' | 'withdraw'>;
  readonly #metrics: Metrics;
  readonly #logger: Logger;
  readonly #callTimeoutMs: number;
  readonly #wanted = new Set<string>();
  readonly #published = new Set<string>();
  /** Keys whose state may differ between the two sets, with the time of the first wish. */
  readonly #dirty = new Map<string, number>();
  readonly #wakeup = new Wakeup();

  constructor({ router, metrics, logger }: PublisherComponents, init: PublisherInit = {}) {
    this.#callTimeoutMs = init.callTimeoutMs ?? CALL_TIMEOUT_MS;
    this.#router = router;
    this.#metrics = metrics;
    this.#logger = logger;
  }

  /** Number of keys that the directory has been told of. */
  get published(): number {
    return this.#published.size;
  }

  /** Says whether the key is to be advertised from now on. */
  set(key: string, wanted: boolean): void {
    if (wanted === this.#wanted.has(key)) return;
    if (wanted) this.#wanted.add(key);
    else this.#wanted.delete(key);
    if (!this.#dirty.has(key)) this.#dirty.set(key, performance.now());
    this.#wakeup.call();
  }

  isWanted(key: string): boolean {
    return this.#wanted.has(key);
  }

  /** Publishes until `signal` is aborted; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (this.#dirty.size === 0) {
        await this.#wakeup.wait(signal);
        continue;
      }
      await pause(GATHER_MS, signal);
      if (!(await this.#publishBatch(signal))) await pause(RETRY_MS, signal);
    }
  }

  async #publishBatch(signal: AbortSignal): Promise<boolean> {
    const batch = new Map(this.#dirty);
    this.#dirty.clear();
    const add: string[] = [];
    const remove: string[] = [];
    for (const key of batch.keys()) {
      const wanted = this.#wanted.has(key);
      if (wanted === this.#published.has(key)) continue;
      (wanted ? add : remove).push(key);
    }
    try {
      if (remove.length > 0) {
        await this.#bounded((limit) => this.#router.withdraw(remove, limit), signal);
        for (const key of remove) this.#published.delete(key);
      }
      if (add.length > 0) {
        await this.#bounded((limit) => this.#router.advertise(add, limit), signal);
        for (const key of add) this.#published.add(key);
        this.#observeLag(add, batch);
      }
      return true;
    } catch (error) {
      for (const [key, since] of batch) {
        if (!this.#dirty.has(key)) this.#dirty.set(key, since);
      }
      if (!signal.aborted) {
        this.#logger.warn(
          { err: error, keys: batch.size },
          'directory did not take keys, will retry',
        );
      }
      return false;
    }
  }

  /** Nothing else is published meanwhile, and the end waits for it: a call that never settles is left. */
  async #bounded(call: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    using deadline = new Deadline(this.#callTimeoutMs, signal);
    const late = Promise.withResolvers<never>();
    deadline.signal.addEventListener('abort', () => {
      late.reject(deadline.signal.reason as Error);
    });
    await Promise.race([call(deadline.signal), late.promise]);
  }

  #observeLag(keys: readonly string[], since: ReadonlyMap<string, number>): void {
    const now = performance.now();
    for (const key of keys) {
      const start = since.get(key);
      if (start !== undefined) this.#metrics.advertiseLag.observe((now - start) / 1000);
    }
  }
}
