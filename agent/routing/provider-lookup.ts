import { peerIdFromString } from '@libp2p/peer-id';
import type { Multiaddr } from '@multiformats/multiaddr';
import type { Logger } from 'pino';

import { isLoopback, tcpAddress } from './announced-addresses.ts';
import { Deadline } from '../timing/deadline.ts';
import { pause } from '../timing/pause.ts';
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
/** How long is waited for peers that did not answer lately, when there are no others to answer. */
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
 * not answer lately are asked too, but hardly waited for. Providers that we are connected with come first:
 * records outlive the nodes that placed them.
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
      const known = await this.#fromRecords(key);
      // Nothing may be awaited between joining a query and reading it: the last reader ends it.
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

  #queryFor(key: RoutingKey, known: readonly Provider[]): SharedQuery {
    const initial = known.filter(({ peerId }) => this.#isPresent(peerId));
    const running = this.#queries.get(key.recordKey);
    if (running !== undefined) {
      for (const provider of initial) running.offer(provider);
      return running;
    }
    const query = new SharedQuery(
      initial,
      async (found, signal) => {
        const absent = known.filter((provider) => !initial.includes(provider));
        const resolved = new Set(initial.map(({ peerId }) => peerId));
        const onFound = (provider: Provider): void => {
          if (this.#isPresent(provider.peerId)) found(provider);
          else absent.push(provider);
        };
        await this.#query(key, resolved, onFound, signal);
        for (const provider of absent) found(provider);
      },
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
    resolved: Set<string>,
    found: (provider: Provider) => void,
    signal: AbortSignal,
  ): Promise<void> {
    using deadline = new Deadline(QUERY_TIMEOUT_MS, signal);
    const candidates = new Map<string, DhtPeer>();
    const asked = new Set<string>();
    const pending = new Set<Promise<void>>();
    const suspects: Promise<void>[] = [];
    let answers = 0;
    let providers = 0;
    for (const peer of this.#components.membership.members()) candidates.set(peer.bytes, peer);

    const isKnown = (bytes: string): boolean => bytes === this.#ownBytes || candidates.has(bytes);
    const onAnswer = async (answer: ProvidersAnswer): Promise<void> => {
      answers++;
      const named = await this.#ownView(answer.providers, resolved);
      for (const provider of this.#toProviders(key, named)) {
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
        const request = this.#ask(peer, key, isKnown, onAnswer, deadline.signal);
        if (this.#components.membership.isSuspect(peer)) {
          suspects.push(request);
          continue;
        }
        pending.add(request);
        void request.finally(() => pending.delete(request));
      }
    };
    askClosest();
    while (pending.size > 0 && !deadline.signal.aborted) {
      await Promise.race(pending);
      askClosest();
    }
    if (answers > 0 || suspects.length === 0) return;
    const enough = new AbortController();
    await Promise.race([Promise.all(suspects), pause(SUSPECT_WAIT_MS, enough.signal)]);
    enough.abort();
  }

  /** Never rejects: a peer that fails has nothing to say. */
  async #ask(
    peer: DhtPeer,
    key: RoutingKey,
    isKnown: (bytes: string) => boolean,
    onAnswer: (answer: ProvidersAnswer) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    const { client, membership, logger } = this.#components;
    try {
      const timeoutMs = this.#peerTimeoutMs;
      const answer = await client.getProviders(peer, key.multihash, isKnown, timeoutMs, signal);
      membership.trust(peer);
      await onAnswer(answer);
    } catch (err) {
      if (signal.aborted) return;
      membership.suspect(peer);
      logger.debug({ peerId: peer.text, err }, 'peer did not answer a look-up');
    }
  }

  /** Whether the provider can be expected to be there. */
  #isPresent(peerId: string): boolean {
    const { node, membership } = this.#components;
    const id = peerIdFromString(peerId);
    return node.getConnections(id).length > 0 && !membership.isSuspect({ text: peerId });
  }

  /**
   * The peers with the addresses that those we are connected with have told us themselves, instead of what
   * another says about them; of such a peer only once, as reading them is dear.
   */
  async #ownView(
    peers: readonly AddressedPeer[],
    resolved: Set<string>,
  ): Promise<readonly AddressedPeer[]> {
    const { node } = this.#components;
    const views = peers.map(async (peer) => {
      if (resolved.has(peer.peerId)) return [];
      if (node.getConnections(peerIdFromString(peer.peerId)).length === 0) return [peer];
      resolved.add(peer.peerId);
      const own = await this.#addressesOf(peer.peerId);
      return [own.multiaddrs.length > 0 ? own : peer];
    });
    return (await Promise.all(views)).flat();
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
