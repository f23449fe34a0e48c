import { closest, K } from '../dht/kademlia.ts';
import { ExpiringSet } from '../../timing/expiring-set.ts';
import { routingKey } from '../dht/key.ts';
import type { RoutingKey } from '../dht/key.ts';
import type { DhtPeer, Membership } from '../node/membership.ts';
import { ProviderQuery } from './provider-query.ts';
import type { OnFound, ProviderQueryComponents, ProviderQueryInit } from './provider-query.ts';
import type { ProviderView } from './provider-view.ts';
import type { Provider } from '../router.ts';
import type { LookupResult, RoutingObserver } from '../routing-observer.ts';
import { SharedQuery } from './shared-query.ts';
import type { QueryStep } from './shared-query.ts';
import type { NegativeCache } from './negative-cache.ts';

/** Providers found in one look-up at most. */
const MAX_PROVIDERS = 500;
/** How long a no is believed where an announcement would reach us and end it. */
const NO_MS = 1000;
/** The same for a key whose records others keep: nothing tells us of an announcement. */
const FOREIGN_NO_MS = 50;
/** Keys of which it is known that nobody has them. */
const MAX_NOES = 10_000;

/** What {@link ProviderLookup} works with. */
export interface ProviderLookupComponents extends ProviderQueryComponents {
  readonly self: DhtPeer;
  readonly membership: Membership;
  readonly view: ProviderView;
  readonly suppressions: NegativeCache;
  readonly observer: RoutingObserver;
}

/**
 * Finds who has a key: first among the records that are here (in a network of no more than 20 nodes that is
 * all of them), then, when a caller wants more, by asking the peers that should have the record. Providers
 * that we are connected with come first: records outlive the nodes that placed them. Callers that look for
 * the same key at the same time share one query, and a no is remembered for a moment.
 */
export class ProviderLookup {
  readonly #components: ProviderLookupComponents;
  readonly #init: ProviderQueryInit;
  readonly #queries = new Map<string, SharedQuery>();
  readonly #noes = new ExpiringSet(MAX_NOES);

  constructor(components: ProviderLookupComponents, init: ProviderQueryInit = {}) {
    this.#components = components;
    this.#init = init;
  }

  /** See `Router.lookup`. */
  async *find(name: string, signal?: AbortSignal): AsyncGenerator<Provider, void, undefined> {
    const { observer, suppressions, view } = this.#components;
    const key = routingKey(name);
    const started = performance.now();
    let told = false;
    const tell = (result: LookupResult): void => {
      if (!told) observer.onLookup?.(result, (performance.now() - started) / 1000);
      told = true;
    };
    try {
      const known = this.#trusted(key, view.recorded(key.recordKey));
      if (known.length === 0 && this.#noes.has(key.recordKey)) {
        tell('miss');
        return;
      }
      for await (const provider of this.#queryFor(key, known).read(signal)) {
        // What was found for another caller may have been forgotten since.
        if (suppressions.has(key.recordKey, provider.peerId)) continue;
        tell('hit');
        yield provider;
      }
      tell(signal?.aborted === true ? 'aborted' : 'miss');
    } finally {
      tell('aborted');
    }
  }

  /** See `Router.known`. */
  known(name: string): readonly Provider[] {
    const { view } = this.#components;
    const key = routingKey(name);
    const present = this.#trusted(key, view.recorded(key.recordKey)).filter((it) =>
      view.isPresent(it),
    );
    const found = this.#queries.get(key.recordKey)?.found ?? [];
    const named = new Set(present.map(({ peerId }) => peerId));
    return [
      ...present,
      ...this.#trusted(key, found).filter((it) => !named.has(it.peerId) && view.isPresent(it)),
    ];
  }

  /** A peer has placed a record with us: who is looking for the key just now hears of it. */
  noticePlaced(recordKey: string): void {
    if (!this.#noes.empty) this.#noes.delete(recordKey);
    const query = this.#queries.get(recordKey);
    if (query === undefined) return;
    for (const provider of this.#components.view.recorded(recordKey)) query.offer(provider);
  }

  #queryFor(key: RoutingKey, known: readonly Provider[]): SharedQuery {
    const { view } = this.#components;
    const present = known.filter((provider) => view.isPresent(provider));
    const running = this.#queries.get(key.recordKey);
    if (running !== undefined) {
      for (const provider of present) running.offer(provider);
      return running;
    }
    const absent = known.filter((provider) => !present.includes(provider));
    const query = new SharedQuery(present, this.#steps(key, absent), () => {
      this.#queries.delete(key.recordKey);
    });
    this.#queries.set(key.recordKey, query);
    return query;
  }

  /**
   * The peers that are sure to know are asked first, then all others; providers that are not expected to be
   * there are named at the end.
   *
   * @param absent those of them that are known already
   */
  #steps(key: RoutingKey, absent: Provider[]): QueryStep[] {
    const { view } = this.#components;
    const query = new ProviderQuery(this.#components, key, this.#init);
    let providers = absent.length;
    const taking =
      (found: (provider: Provider) => void): OnFound =>
      (peers) => {
        for (const provider of this.#trusted(key, view.named(peers))) {
          if (providers++ >= MAX_PROVIDERS) return;
          if (view.isPresent(provider)) found(provider);
          else absent.push(provider);
        }
      };
    const conclude = (certain: boolean): boolean => {
      // A record may have come while we asked.
      const no = certain && providers === 0 && view.recorded(key.recordKey).length === 0;
      if (no) this.#noes.add(key.recordKey, this.#isOurs(key) ? NO_MS : FOREIGN_NO_MS);
      return no;
    };
    return [
      async (found, signal) => conclude(await query.askFirst(taking(found), signal)),
      async (found, signal) => {
        const certain = await query.askOthers(taking(found), signal);
        for (const provider of absent) found(provider);
        return conclude(certain);
      },
    ];
  }

  /** Without those that turned out not to have the content. */
  #trusted(key: RoutingKey, providers: readonly Provider[]): Provider[] {
    const { suppressions } = this.#components;
    return providers.filter(({ peerId }) => !suppressions.has(key.recordKey, peerId));
  }

  /** Whether we are among those that keep the records of the key. */
  #isOurs(key: RoutingKey): boolean {
    const { self, membership } = this.#components;
    const everybody = [...membership.members(), self];
    return closest(key.target, everybody, K).includes(self);
  }
}
