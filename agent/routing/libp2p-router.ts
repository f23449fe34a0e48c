import { setTimeout as delay } from 'node:timers/promises';

import type { PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import type { Multiaddr } from '@multiformats/multiaddr';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';

import { AddressBook } from './node/address-book.ts';
import { isRegistryAddress } from './node/announced-addresses.ts';
import { BootstrapLoop } from './bootstrap/bootstrap-loop.ts';
import type { Bootstrapper } from './bootstrap/bootstrapper.ts';
import type { IdentityAnswer } from './bootstrap/http-bootstrapper.ts';
import { DhtClient } from './dht/dht-client.ts';
import { DhtServer } from './dht/dht-server.ts';
import { routingKey } from './dht/key.ts';
import { createNode } from './node/libp2p-node.ts';
import type { RoutingNode } from './node/libp2p-node.ts';
import { Liveness } from './node/liveness.ts';
import { dhtPeer, Membership } from './node/membership.ts';
import { OwnAddresses } from './node/own-addresses.ts';
import { prunePeers } from './node/peer-store-pruning.ts';
import { Reprovider } from './provide/reprovider.ts';
import { ProviderLookup } from './lookup/provider-lookup.ts';
import { ProviderRecords } from './dht/provider-records.ts';
import { ProviderView } from './lookup/provider-view.ts';
import { RequestRateLimiter } from './dht/request-rate-limiter.ts';
import type { Provider, Router, RouterStatus } from './router.ts';
import type { RoutingObserver } from './routing-observer.ts';
import { NegativeCache } from './lookup/negative-cache.ts';
import { WithdrawProtocol } from './dht/withdraw-protocol.ts';

/** How long the first records wait for the first peers, however many of those do not answer. */
const JOINING_MS = 1500;
/** How often expired records and departed peers are cleared from memory. */
const CLEARING_MS = 60_000;

/** What {@link Libp2pRouter} works with. */
export interface Libp2pRouterComponents {
  /** From `loadIdentity`. */
  readonly privateKey: PrivateKey;
  readonly bootstrapper: Bootstrapper;
  readonly logger: Logger;
}

/** Options of {@link Libp2pRouter}. */
export interface Libp2pRouterInit {
  /** Multiaddrs to listen on, e.g. `/ip4/0.0.0.0/tcp/5001` and `/ip6/::/tcp/5001`. */
  readonly listen: readonly string[];
  /** The port of this node's registry: announced, and assumed of peers that do not announce theirs. */
  readonly registryPort: number;
  /** Whether this node's registry speaks TLS. Default: no. */
  readonly registryTls?: boolean;
  /** Whether peers without TLS are not to be asked. Default: they are. */
  readonly tlsPeersOnly?: boolean;
  /** Milliseconds between placements of a record; default 15 minutes. */
  readonly refreshMs?: number;
  /** Milliseconds for which a record is believed; default 19 minutes. */
  readonly validityMs?: number;
  /** Milliseconds that a peer may take to answer a look-up; default 1,000. */
  readonly peerTimeoutMs?: number;
  readonly observer?: RoutingObserver;
  /** Where libp2p's own metrics go, `libp2p_*`; none are kept without it. */
  readonly metricsRegistry?: Registry;
}

/** The directory on a Kademlia DHT that is shared with Spegel's nodes. */
export class Libp2pRouter implements Router {
  /** Who this node is, in text form. */
  readonly peerId: string;
  readonly #init: Libp2pRouterInit;
  readonly #components: Libp2pRouterComponents;
  readonly #records: ProviderRecords;
  readonly #suppressions = new NegativeCache();
  #parts: RouterParts | undefined;

  constructor(components: Libp2pRouterComponents, init: Libp2pRouterInit) {
    this.#components = components;
    this.#init = init;
    this.peerId = peerIdFromPrivateKey(components.privateKey).toString();
    this.#records = new ProviderRecords({
      ownPeerId: this.peerId,
      ...(init.validityMs !== undefined && { validityMs: init.validityMs }),
      onProvided: (recordKey, peerId) => {
        this.#suppressions.lift(recordKey, peerId);
        this.#parts?.lookup.noticePlaced(recordKey);
      },
    });
  }

  /**
   * Listens and begins to look for peers; resolves without waiting for any.
   *
   * @throws {RouterListenError} when one of the addresses cannot be listened on.
   */
  async start(): Promise<void> {
    if (this.#parts !== undefined) return;
    const { privateKey, bootstrapper, logger } = this.#components;
    const { listen, registryPort, refreshMs, peerTimeoutMs, observer = {} } = this.#init;
    const { metricsRegistry, registryTls = false, tlsPeersOnly = false } = this.#init;
    const records = this.#records;
    const addressBook = new AddressBook();
    const { node, start } = await createNode({
      privateKey,
      serveDht: (stream, connection) => server.serve(stream, connection),
      listen,
      registry: { port: registryPort, tls: registryTls },
      verbose: logger.isLevelEnabled('trace'),
      ...(metricsRegistry !== undefined && { metricsRegistry }),
    });
    node.addEventListener('peer:identify', ({ detail: { peerId, listenAddrs } }) => {
      const multiaddrs = listenAddrs.map(({ bytes }) => bytes);
      addressBook.set(peerId.toString(), peerId.toMultihash().bytes, multiaddrs);
    });
    const withdrawals = new WithdrawProtocol({ node, records, logger });
    const membership = new Membership(node);
    const addresses = new OwnAddresses(node, () => {
      placement.replaceAll();
    });
    const server = new DhtServer({
      ownPeerId: node.peerId,
      records,
      membership,
      addressBook,
      addresses,
      rateLimiter: new RequestRateLimiter(),
      observer,
      logger,
    });
    const client = new DhtClient(node, addresses);
    const liveness = new Liveness({ node, client, membership, logger });
    const placement = new Reprovider(
      { client, membership, records, withdrawals, logger, observer },
      { ownPeerId: this.peerId, ...(refreshMs !== undefined && { refreshMs }) },
    );
    const view = new ProviderView(
      { records, addressBook, membership, addresses },
      { ownPeerId: this.peerId, registryPort, tlsOnly: tlsPeersOnly },
    );
    const self = dhtPeer(node.peerId);
    const lookup = new ProviderLookup(
      {
        self,
        client,
        membership,
        view,
        suppressions: this.#suppressions,
        observer,
        logger,
      },
      peerTimeoutMs === undefined ? {} : { peerTimeoutMs },
    );
    const bootstrap = new BootstrapLoop({ node, bootstrapper, addressBook, logger });

    await withdrawals.start();
    await membership.start();
    await start();
    await addresses.start();
    bootstrap.start();
    liveness.start();
    placement.start(
      Promise.race([bootstrap.firstRound, delay(JOINING_MS, undefined, { ref: false })]),
    );
    const clearing = setInterval(() => {
      records.sweep();
      prunePeers(node, records, addressBook).catch((err: unknown) => {
        logger.debug({ err }, 'departed peers not cleared away');
      });
    }, CLEARING_MS);
    this.#parts = {
      node,
      server,
      client,
      withdrawals,
      liveness,
      membership,
      addresses,
      placement,
      view,
      lookup,
      bootstrap,
      clearing,
    };
    logger.info({ peerId: this.peerId, listening: this.listening.map(String) }, 'router started');
  }

  /** Leaves the network: takes its records back, where that is quickly done, and ends its connections. */
  async stop(): Promise<void> {
    const parts = this.#parts;
    if (parts === undefined) return;
    this.#parts = undefined;
    clearInterval(parts.clearing);
    // Otherwise others would be sent here until the records expire.
    await parts.placement.leave();
    parts.placement.stop();
    parts.liveness.stop();
    parts.client.stop();
    parts.server.stop();
    parts.addresses.stop();
    parts.membership.stop();
    await parts.bootstrap.stop();
    await parts.withdrawals.stop();
    // libp2p would wait half a second for the peers to end the streams that they keep open to us.
    for (const connection of parts.node.getConnections()) {
      connection.abort(new Error('the router stops'));
    }
    await parts.node.stop();
  }

  async advertise(keys: readonly string[], signal?: AbortSignal): Promise<void> {
    await this.#started().placement.advertise(keys, signal);
  }

  async withdraw(keys: readonly string[], signal?: AbortSignal): Promise<void> {
    await this.#started().placement.withdraw(keys, signal);
  }

  /** Finds nobody while the router is not started. */
  async *lookup(key: string, signal?: AbortSignal): AsyncGenerator<Provider, void, undefined> {
    if (this.#parts !== undefined) yield* this.#parts.lookup.find(key, signal);
  }

  forget(key: string, peerId: string): void {
    const { recordKey } = routingKey(key);
    this.#records.delete(recordKey, peerId);
    this.#suppressions.add(recordKey, peerId);
  }

  known(key: string): readonly Provider[] {
    return this.#parts?.lookup.known(key) ?? [];
  }

  locate(peerId: string): Provider | undefined {
    return this.#parts?.view.locate(peerId);
  }

  status(): RouterStatus {
    const records = this.#records.size;
    if (this.#parts === undefined) {
      return { peers: 0, advertisedKeys: 0, records, bootstrapped: false };
    }
    const { membership, placement, bootstrap } = this.#parts;
    const { bootstrapped, error } = bootstrap.status;
    return {
      peers: membership.members().length,
      advertisedKeys: placement.size,
      records,
      bootstrapped,
      ...(error !== undefined && { bootstrapError: error }),
    };
  }

  /** Whom the last bootstrap round was told of: how many, and those that could not be reached, with the reason. */
  bootstrapAddresses(): { readonly named: number; readonly unreached: readonly string[] } {
    const { named, unreached } = this.#parts?.bootstrap.status ?? { named: 0, unreached: [] };
    return { named, unreached };
  }

  /**
   * Peers that this node is connected with, and where their mirrors are.
   *
   * @param most how many at most
   */
  peers(most: number): Provider[] {
    const { membership, view } = this.#parts ?? {};
    const found: Provider[] = [];
    for (const { text } of membership?.members() ?? []) {
      const provider = found.length < most ? view?.locate(text) : undefined;
      if (provider !== undefined) found.push(provider);
    }
    return found;
  }

  /** The addresses that it listens on at present, wildcards resolved, without the peer ID. */
  get listening(): readonly Multiaddr[] {
    return this.#parts?.node.services.listening.addresses() ?? [];
  }

  /** The answer to `GET /id`, by which other nodes bootstrap. */
  identityAnswer(): IdentityAnswer {
    const dialable = this.#started()
      .addresses.current()
      .filter((address) => !isRegistryAddress(address));
    return { ID: this.peerId, Addrs: dialable.map(String) };
  }

  #started(): RouterParts {
    if (this.#parts === undefined) throw new Error('the router is not started');
    return this.#parts;
  }
}

interface RouterParts {
  readonly node: RoutingNode;
  readonly server: DhtServer;
  readonly client: DhtClient;
  readonly withdrawals: WithdrawProtocol;
  readonly liveness: Liveness;
  readonly membership: Membership;
  readonly addresses: OwnAddresses;
  readonly placement: Reprovider;
  readonly view: ProviderView;
  readonly lookup: ProviderLookup;
  readonly bootstrap: BootstrapLoop;
  readonly clearing: NodeJS.Timeout;
}
