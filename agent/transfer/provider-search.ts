import { setImmediate as nextTurn } from 'node:timers/promises';

import type { Provider, Router } from '../routing/router.ts';

/** Most providers remembered for one search; a key with more of them loses nothing by it. */
const MAX_QUEUED = 64;

/** Bounds of a search. */
export interface ProviderSearchInit {
  /** How long to wait for the next provider, in milliseconds, before a wait is over. */
  readonly timeout: number;
  /** How many waits may be added to the first while the directory is still being asked. */
  readonly retries: number;
  /** Providers that are not wanted again, by peer ID. Read at each step, so it may grow meanwhile. */
  readonly excluded: ReadonlySet<string>;
  /** Called once, when the first provider is there, with the seconds that took. */
  readonly onFirst?: (seconds: number) => void;
}

/** What came of waiting for a provider. */
export type SearchResult =
  | { readonly kind: 'provider'; readonly provider: Provider }
  /** Everybody responsible has been asked. */
  | { readonly kind: 'exhausted' }
  /** The directory still had no answer when the time was up. */
  | { readonly kind: 'timeout' };

/**
 * Takes providers of a key one by one as the directory finds them, within a bounded time.
 *
 * Lookup and transfer overlap: providers that arrive while another is being tried wait in the queue, so
 * that fail-over sees those who came late too.
 */
export class ProviderSearch implements Disposable {
  readonly #init: ProviderSearchInit;
  readonly #queue: Provider[] = [];
  readonly #stop = new AbortController();
  #ended = false;
  #wake: () => void = () => undefined;

  constructor(
    router: Pick<Router, 'lookup'>,
    key: string,
    init: ProviderSearchInit,
    signal: AbortSignal,
  ) {
    this.#init = init;
    void this.#fill(router, key, AbortSignal.any([signal, this.#stop.signal]));
  }

  async next(): Promise<SearchResult> {
    const { timeout, retries, excluded } = this.#init;
    for (let wait = 0; ;) {
      for (let found = this.#queue.shift(); found !== undefined; found = this.#queue.shift()) {
        if (!excluded.has(found.peerId)) return { kind: 'provider', provider: found };
      }
      if (this.#ended) return { kind: 'exhausted' };
      if (wait > retries) return { kind: 'timeout' };
      if (!(await this.#arrival(timeout))) {
        wait += 1;
        // Under load a timer can run before input that is already there: let that be read first, or a
        // busy node would say 404 to what its neighbour holds.
        await nextTurn();
      }
    }
  }

  [Symbol.dispose](): void {
    this.#stop.abort();
  }

  async #fill(router: Pick<Router, 'lookup'>, key: string, signal: AbortSignal): Promise<void> {
    const start = performance.now();
    let first = true;
    try {
      for await (const provider of router.lookup(key, signal)) {
        if (first) this.#init.onFirst?.((performance.now() - start) / 1000);
        first = false;
        if (this.#queue.length < MAX_QUEUED) this.#queue.push(provider);
        this.#wake();
      }
    } catch {
      // The port promises that lookups do not reject but for the signal: there is nobody to tell.
    } finally {
      this.#ended = true;
      this.#wake();
    }
  }

  /** Whether something came before `milliseconds` were over. */
  #arrival(milliseconds: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        resolve(false);
      }, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
  }
}
