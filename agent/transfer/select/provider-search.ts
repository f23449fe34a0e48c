import { setImmediate as nextTurn } from 'node:timers/promises';

import type { Provider, Router } from '../../routing/router.ts';
import { Wakeup } from '../../timing/wakeup.ts';

/** Providers that wait to be taken: a bound on memory, far above what the DHT returns for one key. */
const MAX_QUEUED = 1_000;

/**
 * Each wait is this many times as long as the one before: 20, 60, 180 and 540 ms with the defaults. The DHT answers a
 * miss at once, so that it is rarely silent: when a node has just died, or under load. Then a short wait would answer
 * 404 for content that peers hold.
 */
const WAIT_GROWTH = 3;

/** A timer that fires later than this, in milliseconds, shows that this process did not get to run. */
const OVERSLEPT_MS = 10;

/** What a search needs of content routing; a router that has to ask other nodes for every provider has no `known`. */
export type SearchRouter = Pick<Router, 'lookup'> & Partial<Pick<Router, 'known'>>;

/** Bounds of a search, and its callbacks. */
export interface ProviderSearchInit {
  /** How long the first wait for a provider is, in milliseconds. */
  readonly timeout: number;
  /** How many more waits, each three times as long, are added while the lookup is in progress. */
  readonly retries: number;
  /** Peer IDs of providers that must not be taken. Read at each step, so that it may grow during the search. */
  readonly excluded: Pick<ReadonlySet<string>, 'has'>;
  /** Chooses one of several providers. Default: the first. */
  readonly choose?: (candidates: readonly Provider[]) => Provider | undefined;
  /** Called once, at the first provider, with the time that it took in seconds. */
  readonly onFirst?: (seconds: number) => void;
  /** Called for each provider that arrives. */
  readonly onArrival?: () => void;
}

/**
 * What came of waiting for a provider. `provider`: there is one to take. `exhausted`: the lookup has ended without
 * another one. `timeout`: the lookup had not answered within the time.
 */
export type SearchResult = 'provider' | 'exhausted' | 'timeout';

/**
 * Collects the providers of a key as the lookup finds them, to be taken one by one.
 *
 * Lookup and transfer overlap: while one provider is asked the next may be looked up, and later providers serve when the
 * first ones fail. The lookup continues only when there is no provider to take, since the first one serves most
 * requests. The time is limited only while there is nothing else to wait for.
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
  /** Called when there is no provider to take, so that the lookup continues. Each provider replaces it. */
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

  /** Starts another lookup if the one before has ended: other peers may hold the content by now. */
  again(): void {
    if (!this.#ended || this.#signal.aborted) return;
    this.#ended = false;
    void this.#fill();
  }

  /** Takes the best provider that has arrived and `fits`; undefined when there is none. */
  take(fits: (provider: Provider) => boolean = () => true): Provider | undefined {
    const { excluded, choose } = this.#init;
    const candidates = this.#queue.filter((it) => !excluded.has(it.peerId) && fits(it));
    const chosen = choose === undefined ? candidates[0] : choose(candidates);
    if (chosen === undefined) this.#wanted.call();
    else this.#queue.splice(this.#queue.indexOf(chosen), 1);
    return chosen;
  }

  /** Adds a provider that was not found by the lookup; does nothing when it has been added before. */
  offer(provider: Provider): void {
    this.#add(provider);
    this.#init.onArrival?.();
    this.#wake();
  }

  /** Puts a provider that was taken back, in front of the others. */
  putBack(provider: Provider): void {
    this.#queue.unshift(provider);
  }

  /** Waits, for a limited time, until there is a provider to take. */
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
      // Under load a timer can fire before input is read that has already arrived. Let it be read first: otherwise a
      // busy node would answer 404 for what its neighbour holds. A wait that took too long is not counted either.
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
        // All providers that are known without asking other nodes are candidates, not only the first.
        for (const known of this.#router.known?.(key) ?? []) this.#add(known);
        this.#add(provider);
        this.#init.onArrival?.();
        this.#wake();
        await this.#wanted.wait(signal);
      }
    } catch {
      // By the contract of the port a lookup rejects only when the signal is aborted.
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

  /** Whether a provider arrived, or the lookup ended, before `milliseconds` were over. */
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
