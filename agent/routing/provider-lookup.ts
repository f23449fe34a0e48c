import { setTimeout as pause } from 'node:timers/promises';

import { peerIdFromString } from '@libp2p/peer-id';
import type { Multiaddr } from '@multiformats/multiaddr';
import type { Logger } from 'pino';

import { isLoopback, tcpAddress } from './announced-addresses.ts';
import { Deadline } from '../timing/deadline.ts';
import type { DhtClient, ProvidersAnswer } from './dht-client.ts';
import { closest, peerBytes, REPLICATION } from './kademlia.ts';
import { routingKey } from './key.ts';
import type { RoutingKey } from './key.ts';
import type { RoutingNode } from './libp2p-node.ts';
import { dhtPeer } from './membership.ts';
import type { DhtPeer, Membership } from './membership.ts';
import type { OwnAddresses } from './own-addresses.ts';
import { providerFromPeer } from './provider-origins.ts';
import type { AddressedPeer } from './provider-origins.ts';
import type { ProviderRecords } from './provider-records.ts';
import type { Provider } from './router.ts';
import type { RoutingObserver } from './routing-observer.ts';
import { SharedQuery } from './shared-query.ts';
import type { Suppressions } from './suppressions.ts';

/** How long a single peer may take to answer. */
const DEFAULT_PEER_TIMEOUT_MS = 1000;
/** How long is waited for a peer that did not answer lately. */
const SUSPECT_WAIT_MS = 250;
/** How long a look-up may take in all, however many peers name closer ones. */
const QUERY_TIMEOUT_MS = 5000;
/** Peers asked in one look-up at most. */
const MAX_PEERS_ASKED = 3 * REPLICATION;
/** Providers found in one look-up at most. */
const MAX_PROVIDERS = 200;

/** What {@link ProviderLookup} works with. */
export interface ProviderLookupComponents {
  readonly node: RoutingNode;
  readonly client: DhtClient;
  readonly membership: Membership;
  readonly records: ProviderRecords;
  readonly suppressions: Suppressions;
  readonly addresses: OwnAddresses;
  readonly logger: Logger;
  readonly observer: RoutingObserver;
}

/** Options of {@link ProviderLookup}. */
export interface ProviderLookupInit {
  /** The registry port of peers that do not announce theirs. */
  readonly registryPort: number;
  /** Milliseconds; default {@link DEFAULT_PEER_TIMEOUT_MS}. */
  readonly peerTimeoutMs?: number;
}

/**
 * Finds who has a key: first among the records that are here (in a network of no more than 20 nodes that
 * is all of them), then, when a caller wants more, by asking all the peers that should have the record at
 * once. A hit takes about one round trip, and a miss is certain after the slowest of them; peers that did
 * not answer lately are asked too, but hardly waited for.
 */
export class ProviderLookup {
  readonly #components: ProviderLookupComponents;
  readonly #registryPort: number;
  readonly #peerTimeoutMs: number;
  readonly #queries = new Map<string, SharedQuery>();
  readonly #ownId: string;
  readonly #ownBytes: string;

  constructor(components: ProviderLookupComponents, init: ProviderLookupInit) {
    this.#components = components;
    this.#registryPort = init.registryPort;
    this.#peerTimeoutMs = init.peerTimeoutMs ?? DEFAULT_PEER_TIMEOUT_MS;
    this.#ownId = components.node.peerId.toString();
    this.#ownBytes = peerBytes(components.node.peerId.toMultihash().bytes);
  }

  /** See `Router.lookup`. */
  async *find(name: string, signal?: AbortSignal): AsyncGenerator<Provider, void, undefined> {
    const { observer, suppressions } = this.#components;
    const key = routingKey(name);
    const started = performance.now();
    let told = false;
    const tell = (result: 'hit' | 'miss' | 'aborted'): void => {
      if (!told) observer.onLookup?.(result, (performance.now() - started) / 1000);
      told = true;
    };
    try {
      const initial = await this.#fromRecords(key);
      // Nothing may be awaited between joining a query and reading it: the last reader ends it.
      for await (const provider of this.#queryFor(key, initial).read(signal)) {
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

  #queryFor(key: RoutingKey, initial: readonly Provider[]): SharedQuery {
    const running = this.#queries.get(key.recordKey);
    if (running !== undefined) {
      for (const provider of initial) running.offer(provider);
      return running;
    }
    const query = new SharedQuery(
      initial,
      (found, signal) => this.#query(key, found, signal),
      () => {
        this.#queries.delete(key.recordKey);
      },
    );
    this.#queries.set(key.recordKey, query);
    return query;
  }

  async #fromRecords(key: RoutingKey): Promise<Provider[]> {
    const peerIds = this.#components.records.providers(key.recordKey);
    if (peerIds.length === 0) return [];
    const peers = await Promise.all(peerIds.map((peerId) => this.#addressesOf(peerId)));
    return this.#toProviders(key, peers);
  }

  async #addressesOf(peerId: string): Promise<AddressedPeer> {
    try {
      const { addresses } = await this.#components.node.peerStore.get(peerIdFromString(peerId));
      return { peerId, multiaddrs: addresses.map(({ multiaddr }) => multiaddr) };
    } catch {
      return { peerId, multiaddrs: [] };
    }
  }

  /** Asks the closest peers, and closer ones that they name, until all of the closest have been asked. */
  async #query(
    key: RoutingKey,
    found: (provider: Provider) => void,
    signal: AbortSignal,
  ): Promise<void> {
    using deadline = new Deadline(QUERY_TIMEOUT_MS, signal);
    const candidates = new Map<string, DhtPeer>();
    const asked = new Set<string>();
    const pending = new Set<Promise<void>>();
    let providers = 0;
    for (const peer of this.#components.membership.members()) candidates.set(peer.bytes, peer);

    const isKnown = (bytes: string): boolean => bytes === this.#ownBytes || candidates.has(bytes);
    const onAnswer = (answer: ProvidersAnswer): void => {
      for (const provider of this.#toProviders(key, answer.providers)) {
        if (providers++ < MAX_PROVIDERS) found(provider);
      }
      for (const { peerId, multiaddrs } of answer.closer) {
        if (multiaddrs.length === 0) continue;
        const peer = dhtPeer(peerIdFromString(peerId), multiaddrs);
        candidates.set(peer.bytes, peer);
      }
    };
    const askClosest = (): void => {
      for (const peer of closest(key.target, [...candidates.values()], REPLICATION)) {
        if (asked.has(peer.text) || asked.size >= MAX_PEERS_ASKED) continue;
        asked.add(peer.text);
        const request: Promise<void> = this.#ask(
          peer,
          key,
          isKnown,
          onAnswer,
          deadline.signal,
        ).finally(() => {
          pending.delete(request);
        });
        pending.add(request);
      }
    };
    askClosest();
    while (pending.size > 0 && !deadline.signal.aborted) {
      await Promise.race(pending);
      askClosest();
    }
  }

  /** Never rejects: a peer that fails has nothing to say. Resolves early for a peer under suspicion. */
  async #ask(
    peer: DhtPeer,
    key: RoutingKey,
    isKnown: (bytes: string) => boolean,
    onAnswer: (answer: ProvidersAnswer) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const { client, membership, logger } = this.#components;
    const answered = client
      .getProviders(peer, key.multihash, isKnown, this.#peerTimeoutMs, signal)
      .then(
        (answer) => {
          membership.trust(peer);
          onAnswer(answer);
        },
        (err: unknown) => {
          if (signal.aborted) return;
          membership.suspect(peer);
          logger.debug({ peerId: peer.text, err }, 'peer did not answer a look-up');
        },
      );
    await (membership.isSuspect(peer)
      ? Promise.race([answered, pause(SUSPECT_WAIT_MS)])
      : answered);
  }

  #toProviders(key: RoutingKey, peers: readonly AddressedPeer[]): Provider[] {
    const { node, addresses, suppressions } = this.#components;
    const loopback = addresses.current().some((address) => isLoopback(ipOf(address) ?? ''));
    const providers: Provider[] = [];
    for (const peer of peers) {
      if (peer.peerId === this.#ownId || suppressions.has(key.recordKey, peer.peerId)) continue;
      const [connection] = node.getConnections(peerIdFromString(peer.peerId));
      const connectedIp = connection && ipOf(connection.remoteAddr);
      const provider = providerFromPeer(peer, {
        registryPort: this.#registryPort,
        loopback,
        ...(connectedIp !== undefined && { connectedIp }),
      });
      if (provider !== undefined) providers.push(provider);
    }
    return providers;
  }
}

function ipOf(address: Multiaddr): string | undefined {
  return tcpAddress(address)?.ip;
}
