import { setImmediate as nextTurn } from 'node:timers/promises';

import type { Provider, Router } from '../../routing/router.ts';
import { Wakeup } from '../../timing/wakeup.ts';

/** Most providers that wait to be taken: a bound on memory, far above what a directory names for one key. */
const MAX_QUEUED = 1_000;

/**
 * Each wait is so many times as long as the one before: 20, 60, 180 and 540 ms with the defaults. Silence of the
 * directory is rare, since a no is told at once; it is a node that has just died or a cluster under load, and
 * there a short wait would say 404 to what is there.
 */
const WAIT_GROWTH = 3;

/** A timer that is later than this, in milliseconds, shows that this process has been kept from working. */
const OVERSLEPT_MS = 10;

/** What a search asks; a directory that knows nothing without asking has no `known`. */
export type SearchRouter = Pick<Router, 'lookup'> & Partial<Pick<Router, 'known'>>;

/** Bounds of a search, and whom it tells. */
export interface ProviderSearchInit {
  /** How long the first wait for a provider is, in milliseconds. */
  readonly timeout: number;
  /** How many waits, each three times as long, may be added while the directory is still being asked. */
  readonly retries: number;
  /** Providers that are not wanted again, by peer ID. Read at each step, so it may grow meanwhile. */
  readonly excluded: Pick<ReadonlySet<string>, 'has'>;
  /** Chooses one of several that are there; the first when absent. */
  readonly choose?: (candidates: readonly Provider[]) => Provider | undefined;
  /** Called once, when the first provider is there, with the seconds that took. */
  readonly onFirst?: (seconds: number) => void;
  /** Called at each provider. */
  readonly onArrival?: () => void;
}

/**
 * What came of waiting for a provider: one is there to be taken; everybody responsible has been asked; or the
 * directory still had no answer when the time was up.
 */
export type SearchResult = 'provider' | 'exhausted' | 'timeout';

/**
 * Collects providers of a key as the directory finds them, to be taken one by one.
 *
 * Lookup and transfer overlap: while one provider is being tried the next may be looked for, and fail-over sees
 * those who came late too. But the directory is asked for another only when there is none to take: most
 * requests are served by the first, and what is known without asking others costs them nothing. Time is bounded
 * only where nothing else is left to wait for.
 */
export class ProviderSearch implements Disposable {
  readonly #init: ProviderSearchInit;
  readonly #router: SearchRouter;
  readonly #key: string;
  readonly #queue: Provider[] = [];
  /** Peer IDs of all that have been in the queue. */
  readonly #seen = new Set<string>();
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  /** Called by who finds none to take; a new one for each provider, which ends the want before it. */
  #wanted = new Wakeup();
  #ended = false;
  #anyCame = false;
  #wake: () => void = () => undefined;

  constructor(router: SearchRouter, key: string, init: ProviderSearchInit, signal: AbortSignal) {
    this.#init = init;
    this.#router = router;
    this.#key = key;
    this.#signal = AbortSignal.any([signal, this.#stop.signal]);
    void this.#fill();
  }

  /** Asks the directory once more when it has named all that it knew: others may hold the content by now. */
  again(): void {
    if (!this.#ended || this.#signal.aborted) return;
    this.#ended = false;
    void this.#fill();
  }

  /** The best of the providers that are there already and `fit`. */
  take(fits: (provider: Provider) => boolean = () => true): Provider | undefined {
    const { excluded, choose } = this.#init;
    const candidates = this.#queue.filter((it) => !excluded.has(it.peerId) && fits(it));
    const chosen = choose === undefined ? candidates[0] : choose(candidates);
    if (chosen === undefined) this.#wanted.call();
    else this.#queue.splice(this.#queue.indexOf(chosen), 1);
    return chosen;
  }

  /** Adds a provider of which another way than the directory has told; nothing when it is known already. */
  offer(provider: Provider): void {
    this.#add(provider);
    this.#init.onArrival?.();
    this.#wake();
  }

  /** Puts a provider that was taken in front of the others. */
  putBack(provider: Provider): void {
    this.#queue.unshift(provider);
  }

  /** Waits, in bounded time, until there is a provider to take. */
  async wait(): Promise<SearchResult> {
    const { timeout, retries, excluded } = this.#init;
    for (let wait = 0; ;) {
      if (this.#queue.some(({ peerId }) => !excluded.has(peerId))) return 'provider';
      if (this.#ended) return 'exhausted';
      if (wait > retries) return 'timeout';
      this.#wanted.call();
      const within = timeout * WAIT_GROWTH ** wait;
      const start = performance.now();
      if (await this.#arrival(within)) continue;
      // Under load a timer can run before input that is already there: let that be read first, or a busy node
      // would say 404 to what its neighbour holds. A wait that such load has drawn out has proved nothing.
      await nextTurn();
      if (performance.now() - start < within + OVERSLEPT_MS) wait += 1;
    }
  }

  [Symbol.dispose](): void {
    this.#stop.abort();
  }

  async #fill(): Promise<void> {
    const key = this.#key;
    const signal = this.#signal;
    const start = performance.now();
    try {
      for await (const provider of this.#router.lookup(key, signal)) {
        if (!this.#anyCame) this.#init.onFirst?.((performance.now() - start) / 1000);
        this.#anyCame = true;
        if (this.#seen.has(provider.peerId)) continue;
        this.#wanted = new Wakeup();
        // All that are known without asking anybody are there to choose from, and not only the first.
        for (const known of this.#router.known?.(key) ?? []) this.#add(known);
        this.#add(provider);
        this.#init.onArrival?.();
        this.#wake();
        await this.#wanted.wait(signal);
      }
    } catch {
      // The port promises that lookups do not reject but for the signal: there is nobody to tell.
    } finally {
      this.#ended = true;
      this.#wake();
    }
  }

  #add(provider: Provider): void {
    if (this.#seen.has(provider.peerId) || this.#queue.length >= MAX_QUEUED) return;
    this.#seen.add(provider.peerId);
    this.#queue.push(provider);
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
