import { ExpiringSet } from '../../timing/expiring-set.ts';
import { closest, K } from '../dht/kademlia.ts';
import type { RoutingKey } from '../dht/key.ts';
import type { LookupKeys, NameKeys } from '../dht/lookup-keys.ts';
import type { DhtPeer, Membership } from '../node/membership.ts';
import type { Provider } from '../router.ts';
import type { LookupResult, RoutingObserver } from '../routing-observer.ts';
import type { NegativeCache } from './negative-cache.ts';
import { ProviderQuery } from './provider-query.ts';
import type { OnFound, ProviderQueryComponents, ProviderQueryInit } from './provider-query.ts';
import type { ProviderView } from './provider-view.ts';
import { SharedQuery } from './shared-query.ts';
import type { QueryStep } from './shared-query.ts';

/** Maximum number of providers found in one look-up. */
const MAX_PROVIDERS = 500;
/** How long a miss is remembered for a key whose new records this node would get, which ends the miss. */
const MISS_TTL_MS = 1000;
/** The same for a key whose records other nodes keep: this node does not learn of a new one. */
const FOREIGN_MISS_TTL_MS = 50;
/** Maximum number of keys remembered as misses. */
const MAX_MISSES = 10_000;

export interface ProviderLookupComponents extends ProviderQueryComponents {
  readonly self: DhtPeer;
  readonly lookupKeys: Pick<LookupKeys, 'of'>;
  readonly membership: Membership;
  readonly view: ProviderView;
  readonly negativeCache: NegativeCache;
  readonly observer: RoutingObserver;
}

/**
 * Finds the providers of a key: first among the records that are here (in a network of no more than 20 nodes that is
 * all of them). When a caller wants more, it asks the peers that should have the record. Connected providers come
 * first: records outlive the nodes that sent them. Callers that look for the same key at the same time share one query,
 * and a miss is remembered for a moment.
 *
 * While a swarm key is changed, a name has several keys. They are looked up at the same time, and what is found
 * under any of them is one answer: which node has provided it under which is not known before.
 */
export class ProviderLookup {
  readonly #components: ProviderLookupComponents;
  readonly #init: ProviderQueryInit;
  /** By each record key of the name. */
  readonly #queries = new Map<string, SharedQuery>();
  readonly #misses = new ExpiringSet(MAX_MISSES);

  constructor(components: ProviderLookupComponents, init: ProviderQueryInit = {}) {
    this.#components = components;
    this.#init = init;
  }

  /** See `Router.lookup`. */
  async *find(name: string, signal?: AbortSignal): AsyncGenerator<Provider, void, undefined> {
    const { observer, lookupKeys } = this.#components;
    const keys = lookupKeys.of(name);
    const started = performance.now();
    let isObserved = false;
    const observe = (result: LookupResult): void => {
      if (!isObserved) observer.onLookup?.(result, (performance.now() - started) / 1000);
      isObserved = true;
    };
    try {
      const known = this.#recorded(keys);
      if (known.length === 0 && keys.every(({ recordKey }) => this.#misses.has(recordKey))) {
        observe('miss');
        return;
      }
      for await (const provider of this.#queryFor(keys, known).read(signal)) {
        // It may have been forgotten since it was found for another caller.
        if (this.#isForgotten(keys, provider)) continue;
        observe('hit');
        yield provider;
      }
      observe(signal?.aborted === true ? 'aborted' : 'miss');
    } finally {
      observe('aborted');
    }
  }

  /** See `Router.known`. */
  known(name: string): readonly Provider[] {
    const { lookupKeys, view } = this.#components;
    const keys = lookupKeys.of(name);
    const present = this.#recorded(keys).filter((it) => view.isPresent(it));
    const found = this.#queries.get(keys[0].recordKey)?.found ?? [];
    const named = new Set(present.map(({ peerId }) => peerId));
    return [
      ...present,
      ...this.#trusted(keys, found).filter((it) => !named.has(it.peerId) && view.isPresent(it)),
    ];
  }

  /** Passes a record that has just arrived to the callers that are looking for its key. */
  noticeRecord(recordKey: string): void {
    if (!this.#misses.empty) this.#misses.delete(recordKey);
    const query = this.#queries.get(recordKey);
    if (query === undefined) return;
    for (const provider of this.#components.view.recorded(recordKey)) query.offer(provider);
  }

  /** The providers with a record here under any of the keys, each once. */
  #recorded(keys: NameKeys): readonly Provider[] {
    const { view } = this.#components;
    const [first, ...more] = keys;
    const recorded = this.#trusted(keys, view.recorded(first.recordKey));
    if (more.length === 0) return recorded;
    const byPeer = new Map(recorded.map((provider) => [provider.peerId, provider]));
    for (const { recordKey } of more) {
      for (const provider of this.#trusted(keys, view.recorded(recordKey))) {
        byPeer.set(provider.peerId, provider);
      }
    }
    return [...byPeer.values()];
  }

  #queryFor(keys: NameKeys, known: readonly Provider[]): SharedQuery {
    const { view } = this.#components;
    const present = known.filter((provider) => view.isPresent(provider));
    const running = this.#queries.get(keys[0].recordKey);
    if (running !== undefined) {
      for (const provider of present) running.offer(provider);
      return running;
    }
    const absent = known.filter((provider) => !present.includes(provider));
    const query = new SharedQuery(present, this.#steps(keys, absent), () => {
      for (const { recordKey } of keys) {
        // When the swarm keys have changed, there may be another query that has some of the keys.
        if (this.#queries.get(recordKey) === query) this.#queries.delete(recordKey);
      }
    });
    for (const { recordKey } of keys) this.#queries.set(recordKey, query);
    return query;
  }

  /**
   * Asks the peers that are sure to have the record first, then all others. Providers that are not expected to be
   * reachable are named at the end.
   *
   * @param absent those of them that are known already
   */
  #steps(keys: NameKeys, absent: Provider[]): QueryStep[] {
    const { view } = this.#components;
    const queries = keys.map((key) => new ProviderQuery(this.#components, key, this.#init));
    const ofAll = async (ask: (query: ProviderQuery) => Promise<boolean>): Promise<boolean> =>
      (await Promise.all(queries.map(ask))).every(Boolean);
    let providers = absent.length;
    const taking =
      (found: (provider: Provider) => void): OnFound =>
      (peers) => {
        for (const provider of this.#trusted(keys, view.named(peers))) {
          if (providers++ >= MAX_PROVIDERS) return;
          if (view.isPresent(provider)) found(provider);
          else absent.push(provider);
        }
      };
    const conclude = (isCertain: boolean): boolean => {
      // A record may have arrived during the query.
      if (!isCertain || providers > 0) return false;
      if (keys.some(({ recordKey }) => view.recorded(recordKey).length > 0)) return false;
      const ttl = keys.every((key) => this.#isOurs(key)) ? MISS_TTL_MS : FOREIGN_MISS_TTL_MS;
      for (const { recordKey } of keys) this.#misses.add(recordKey, ttl);
      return true;
    };
    return [
      async (found, signal) =>
        conclude(await ofAll((query) => query.askFirst(taking(found), signal))),
      async (found, signal) => {
        const isCertain = await ofAll((query) => query.askOthers(taking(found), signal));
        for (const provider of absent) found(provider);
        return conclude(isCertain);
      },
    ];
  }

  /** Leaves out the providers that turned out not to have the content. */
  #trusted(keys: NameKeys, providers: readonly Provider[]): Provider[] {
    return providers.filter((provider) => !this.#isForgotten(keys, provider));
  }

  /** Whether it turned out not to have the content, and has provided it under none of the keys since. */
  #isForgotten(keys: NameKeys, { peerId }: Provider): boolean {
    const { negativeCache } = this.#components;
    return keys.every(({ recordKey }) => negativeCache.has(recordKey, peerId));
  }

  /** Whether this node is among the closest to the key, which keep its records. */
  #isOurs(key: RoutingKey): boolean {
    const { self, membership } = this.#components;
    const all = [...membership.members(), self];
    return closest(key.target, all, K).includes(self);
  }
}
