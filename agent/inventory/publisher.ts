import type { Logger } from 'pino';

import type { Metrics } from '../metrics/metrics.ts';
import type { KeyAdvertiser } from '../routing/router.ts';
import { Deadline } from '../timing/deadline.ts';
import { pause } from '../timing/pause.ts';
import { raceSignal } from '../timing/race-signal.ts';
import { Wakeup } from '../timing/wakeup.ts';

/** How long keys are gathered before they are advertised together, in milliseconds. */
const GATHER_MS = 3;

/** Pause before keys that the router did not take are tried again, in milliseconds. */
const RETRY_MS = 1_000;

/** How long the router may take for a batch before it is tried again, in milliseconds. */
const CALL_TIMEOUT_MS = 30_000;

export interface PublisherComponents {
  readonly router: KeyAdvertiser;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/** Options of {@link Publisher}. */
export interface PublisherInit {
  /** Default {@link CALL_TIMEOUT_MS}. */
  readonly callTimeoutMs?: number;
}

interface Wish {
  readonly wanted: boolean;
  /** Time of the first wish for the key since it was last published. */
  readonly since: number;
  /** Whether a batch with it has failed. The router may have taken it or not, so it is sent again in any case. */
  readonly isRetry: boolean;
}

/**
 * Keeps content routing in step with the set of keys that this node wants to advertise.
 *
 * Wishes may come one by one and change back and forth. The router gets them in batches, and only those that change
 * something. One batch is sent at a time, so that a withdrawal never overtakes an earlier announcement.
 *
 * The set of advertised keys is the router's. The publisher keeps only the wishes that may differ from it.
 */
export class Publisher {
  readonly #router: KeyAdvertiser;
  readonly #metrics: Metrics;
  readonly #logger: Logger;
  readonly #callTimeoutMs: number;
  /** Wishes that wait for the next batch. */
  #waiting = new Map<string, Wish>();
  /** Wishes in the batch that is being sent. */
  #sending: ReadonlyMap<string, Wish> = new Map();
  readonly #wakeup = new Wakeup();

  constructor({ router, metrics, logger }: PublisherComponents, init: PublisherInit = {}) {
    this.#callTimeoutMs = init.callTimeoutMs ?? CALL_TIMEOUT_MS;
    this.#router = router;
    this.#metrics = metrics;
    this.#logger = logger;
  }

  /** Sets whether the key is to be advertised. */
  set(key: string, wanted: boolean): void {
    if (wanted === this.isWanted(key)) return;
    const { since, isRetry } = this.#waiting.get(key) ?? {
      since: performance.now(),
      isRetry: false,
    };
    this.#waiting.set(key, { wanted, since, isRetry });
    this.#wakeup.call();
  }

  isWanted(key: string): boolean {
    const wish = this.#waiting.get(key) ?? this.#sending.get(key);
    return wish?.wanted ?? this.#router.isAdvertised(key);
  }

  /** Publishes until `signal` is aborted; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (this.#waiting.size === 0) {
        await this.#wakeup.wait(signal);
        continue;
      }
      await pause(GATHER_MS, signal);
      if (!(await this.#publishBatch(signal))) await pause(RETRY_MS, signal);
    }
  }

  async #publishBatch(signal: AbortSignal): Promise<boolean> {
    const batch = this.#waiting;
    this.#sending = batch;
    this.#waiting = new Map();
    const add: string[] = [];
    const remove: string[] = [];
    for (const [key, { wanted, isRetry }] of batch) {
      if (!isRetry && wanted === this.#router.isAdvertised(key)) continue;
      (wanted ? add : remove).push(key);
    }
    try {
      if (remove.length > 0) {
        await this.#bounded((limit) => this.#router.withdraw(remove, limit), signal);
      }
      if (add.length > 0) {
        await this.#bounded((limit) => this.#router.advertise(add, limit), signal);
        this.#observeLag(add, batch);
      }
      return true;
    } catch (error) {
      for (const [key, wish] of batch) {
        if (!this.#waiting.has(key)) this.#waiting.set(key, { ...wish, isRetry: true });
      }
      if (!signal.aborted) {
        this.#logger.warn(
          { err: error, keys: batch.size },
          'the router did not take the keys, will retry',
        );
      }
      return false;
    } finally {
      this.#sending = new Map();
    }
  }

  /** Bounds a call to the router. A call that never settles must delay neither later batches nor the end. */
  async #bounded(call: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    using deadline = new Deadline(this.#callTimeoutMs, signal);
    await raceSignal(call(deadline.signal), deadline.signal);
  }

  #observeLag(keys: readonly string[], batch: ReadonlyMap<string, Wish>): void {
    const now = performance.now();
    for (const key of keys) {
      const since = batch.get(key)?.since;
      if (since !== undefined) this.#metrics.advertiseLag.observe((now - since) / 1000);
    }
  }
}
