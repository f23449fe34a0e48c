import { setTimeout as delay } from 'node:timers/promises';

import type { PrivateKey } from '@libp2p/interface';
import type { Multiaddr } from '@multiformats/multiaddr';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';

import { clearing } from './clearing.ts';
import { createPlacement } from './create-placement.ts';
import { BootstrapLoop } from './bootstrap/bootstrap-loop.ts';
import type { Bootstrapper } from './bootstrap/bootstrapper.ts';
import type { SwarmProtectorComponents } from './private-network/swarm-protector.ts';
import { DhtClient } from './dht/dht-client.ts';
import { DhtServer } from './dht/dht-server.ts';
import { PeerDialer } from './dht/peer-dialer.ts';
import type { ProviderRecords } from './dht/provider-records.ts';
import { RequestRateLimiter } from './dht/request-rate-limiter.ts';
import type { RoutingKey } from './dht/key.ts';
import type { LookupKeys } from './dht/lookup-keys.ts';
import { WithdrawProtocol } from './dht/withdraw-protocol.ts';
import { ClosestMembers } from './lookup/closest-members.ts';
import { Connector } from './discovery/connector.ts';
import { Discovery } from './discovery/discovery.ts';
import { NetworkScale } from './discovery/network-size.ts';
import { NodeLookup } from './discovery/node-lookup.ts';
import type { NegativeCache } from './lookup/negative-cache.ts';
import { ProviderLookup } from './lookup/provider-lookup.ts';
import { ProviderView } from './lookup/provider-view.ts';
import { AddressBook } from './node/address-book.ts';
import { AddressPolicy } from './node/address-policy.ts';
import { announcesLoopback } from './node/announced-addresses.ts';
import { AddressOrder } from './node/address-order.ts';
import { IdentityProbe } from './node/identity-probe.ts';
import { createNode } from './node/libp2p-node.ts';
import type { CreateNode, RoutingNode } from './node/libp2p-node.ts';
import { Liveness } from './node/liveness.ts';
import { dhtPeer, Membership } from './node/membership.ts';
import { OwnAddresses } from './node/own-addresses.ts';
import { PeerPlaces } from './node/peer-places.ts';
import { PeerProtocols } from './node/peer-protocols.ts';
import type { Reprovider } from './provide/reprovider.ts';
import { QuestionClient } from './questions/question-client.ts';
import type { QuestionHandler } from './questions/question-handler.ts';
import { QuestionServer } from './questions/question-server.ts';
import type { RoutingObserver } from './routing-observer.ts';
import { stageOf } from './stages.ts';
import type { Stage, Staged } from './stages.ts';

/** How long the first records wait until this node has looked for all members, however many do not answer. */
const JOINING_MS = 1500;
/** Default of `maxConnections`. */
const DEFAULT_MAX_CONNECTIONS = 150;

export interface RouterPartsComponents {
  readonly privateKey: PrivateKey;
  readonly bootstrapper: Bootstrapper;
  readonly logger: Logger;
  /** These three belong to the router: they are there before its parts, and after them. */
  readonly records: ProviderRecords;
  readonly negativeCache: NegativeCache;
  readonly lookupKeys: LookupKeys;
  /** See `DuplicateIdentity`. Default: nothing happens. */
  readonly onDuplicate?: (address: string) => void;
  /** Called with what was refused to a peer, and its address or the one that it has named. */
  readonly onRefusal?: (reason: 'address' | 'connections', address: string) => void;
  /** Who may connect. Default: each node, without a key. */
  readonly swarm?: SwarmProtectorComponents;
  /** Makes the node. Default: {@link createNode}; a simulation has nodes without sockets. */
  readonly createNode?: CreateNode;
  /** What other members may ask this one, and it them; each has a protocol of its own. Default: nothing. */
  readonly questions?: QuestionHandler | readonly QuestionHandler[];
}

/** Options of `Libp2pRouter`. */
export interface Libp2pRouterInit {
  /** Multiaddrs to listen on, e.g. `/ip4/0.0.0.0/tcp/5001` and `/ip6/::/tcp/5001`. */
  readonly listen: readonly string[];
  /** The port of this node's registry: announced, and assumed of peers that do not announce theirs. */
  readonly registryPort: number;
  /** Whether this node's registry speaks TLS. Default: no. */
  readonly registryTls?: boolean;
  /** Whether only peers with TLS are named. Default: no. */
  readonly tlsPeersOnly?: boolean;
  /** Milliseconds after which a record is provided again; default 15 minutes. */
  readonly refreshMs?: number;
  /** Milliseconds for which a record is valid; default 19 minutes. */
  readonly validityMs?: number;
  /** Milliseconds that a peer may take to answer a look-up; default 1,000. */
  readonly peerTimeoutMs?: number;
  /**
   * Connections with peers that a node keeps, beside those with its neighbours in the key space; default 150. Members
   * beyond them are asked over a connection that is made then.
   */
  readonly maxConnections?: number;
  /** Networks in which there are no nodes, as `10.96.0.0/12`. Default: none beside those of `AddressPolicy`. */
  readonly refusedNetworks?: readonly string[];
  /** Milliseconds between two probes for another node with our identity; default 30 s. */
  readonly probeMs?: number;
  /** Milliseconds from its start in which a node takes a new identity when another has the same; default 2 minutes. */
  readonly youngMs?: number;
  readonly observer?: RoutingObserver;
  /** Where libp2p's own metrics go, `libp2p_*`. Without it there are none. */
  readonly metricsRegistry?: Registry;
}

/** The parts that a router calls while it runs. */
export interface RouterParts extends Staged {
  readonly node: RoutingNode;
  readonly membership: Membership;
  readonly protocols: PeerProtocols;
  readonly addresses: OwnAddresses;
  readonly reprovider: Reprovider;
  readonly view: ProviderView;
  readonly places: PeerPlaces;
  readonly lookup: ProviderLookup;
  readonly closest: ClosestMembers;
  readonly bootstrap: BootstrapLoop;
  /** By their protocol, in the order of {@link RouterPartsComponents.questions}. */
  readonly questions: ReadonlyMap<string, QuestionClient>;
}

/** Makes the parts of a router; nothing runs before {@link startStages}. */
export async function createRouterParts(
  components: RouterPartsComponents,
  init: Libp2pRouterInit,
): Promise<RouterParts> {
  const { privateKey, bootstrapper, logger, records, negativeCache } = components;
  const { lookupKeys, onDuplicate } = components;
  const { listen, registryPort, peerTimeoutMs, observer = {} } = init;
  const { metricsRegistry, registryTls = false, tlsPeersOnly = false } = init;
  const { maxConnections = DEFAULT_MAX_CONNECTIONS, refusedNetworks = [] } = init;
  const { onRefusal = () => undefined } = components;
  const addressBook = new AddressBook();
  const order = new AddressOrder();
  const policy = new AddressPolicy({
    refused: refusedNetworks,
    loopback: () => announcesLoopback(addresses.current()),
    onRefused: (address) => {
      onRefusal('address', address);
    },
  });
  const { node, start: listenAndConnect } = await (components.createNode ?? createNode)({
    privateKey,
    serveDht: (stream, connection) => server.serve(stream, connection),
    listen,
    registry: { port: registryPort, tls: registryTls },
    sortAddresses: (sockets) => order.sort(sockets),
    ...(components.swarm !== undefined && { swarm: components.swarm }),
    ...(onDuplicate !== undefined && { onDuplicate }),
    allowsDial: (address) => policy.allowsDial(address),
    onFlood: (address) => {
      onRefusal('connections', address);
    },
    verbose: logger.isLevelEnabled('trace'),
    ...(metricsRegistry !== undefined && { metricsRegistry }),
  });
  node.addEventListener('peer:identify', ({ detail: { peerId, listenAddrs, observedAddr } }) => {
    const listening = (): Multiaddr[] => node.services.listening.addresses();
    if (observedAddr !== undefined && order.observe(observedAddr, listening)) addresses.refresh();
    const multiaddrs = listenAddrs.map(({ bytes }) => bytes);
    addressBook.set(peerId.toString(), peerId.toMultihash().bytes, multiaddrs);
  });
  const self = dhtPeer(node.peerId);
  const ownPeerId = self.text;
  const withdrawals = new WithdrawProtocol({ node, records, logger });
  const membership = new Membership(node, {
    addressesOf: (peerId) => addressBook.get(peerId),
    maxConnections,
  });
  const protocols = new PeerProtocols(node);
  const scale = new NetworkScale(self, membership, maxConnections);
  const addresses = new OwnAddresses(node, () => {
    reprovider.reprovideAll();
  });
  const rateLimiter = new RequestRateLimiter();
  const server = new DhtServer({
    ownPeerId: node.peerId,
    records,
    membership,
    addressBook,
    addresses,
    rateLimiter,
    isEstablished: () => placement.isEstablished(),
    observer,
    logger,
  });
  const client = new DhtClient(node, addresses, policy);
  const liveness = new Liveness({ node, client, membership, logger });
  const nodeLookup = new NodeLookup({ client, membership, logger });
  const placement = createPlacement(
    {
      privateKey,
      self,
      node,
      client,
      membership,
      protocols,
      scale,
      nodeLookup,
      lookupKeys,
      records,
      withdrawals,
      addressBook,
      addresses,
      policy,
      rateLimiter,
      observer,
      logger,
    },
    init,
  );
  const { reprovider, held } = placement;
  const places = new PeerPlaces({ node, addressBook, addresses, policy });
  const view = new ProviderView(
    { records, addressBook, membership, addresses, policy, places, scale },
    { ownPeerId, registryPort, tlsOnly: tlsPeersOnly },
  );
  const lookup = new ProviderLookup(
    {
      self,
      lookupKeys,
      client,
      membership,
      scale,
      isEstablished: () => placement.isEstablished(),
      view,
      negativeCache,
      observer,
      logger,
    },
    peerTimeoutMs === undefined ? {} : { peerTimeoutMs },
  );
  const closest = new ClosestMembers({
    self,
    lookupKeys,
    membership,
    view,
    protocols,
    scale,
    nodeLookup,
  });
  const bootstrap = new BootstrapLoop({ node, bootstrapper, addressBook, policy, logger });
  const discovery = new Discovery({ self, membership, nodeLookup, scale });
  const connector = new Connector(
    { self, node, client, membership, scale, logger },
    maxConnections,
  );
  const handlers = [components.questions ?? []].flat();
  const questions = new Map(
    handlers.map((handler) => [
      handler.protocol,
      new QuestionClient({ node, dialer: new PeerDialer(node, policy) }, handler),
    ]),
  );
  const anyKey = (): RoutingKey | undefined => reprovider.anyKey();
  const probe = new IdentityProbe(
    { node, client, membership, policy, anyKey, logger },
    init.probeMs,
  );
  const stages: Stage[] = [
    { stop: () => stopNode(node) },
    // Before the node starts, so that no peer is missed, and identify names our own protocol.
    stageOf(withdrawals),
    stageOf(placement.server),
    ...handlers.map((handler) => stageOf(new QuestionServer({ node, logger }, handler))),
    stageOf(protocols),
    stageOf(membership),
    stageOf(places),
    { start: listenAndConnect },
    stageOf(addresses),
    {
      stop: () => {
        server.stop();
      },
    },
    {
      stop: () => {
        client.stop();
        placement.client.stop();
        for (const asking of questions.values()) asking.stop();
      },
    },
    stageOf(bootstrap),
    stageOf(liveness),
    stageOf(probe),
    {
      start: () => {
        const joined = delay(JOINING_MS, undefined, { ref: false });
        discovery.start(Promise.race([bootstrap.firstRound, joined]));
      },
      stop: () => discovery.stop(),
    },
    stageOf(connector),
    {
      start: () => {
        const joined = delay(JOINING_MS, undefined, { ref: false });
        reprovider.start(Promise.race([discovery.firstSweep, joined]));
      },
      stop: async () => {
        // Otherwise other nodes would ask this one until the records expire.
        await reprovider.leave();
        reprovider.stop();
      },
    },
    {
      start: () => {
        placement.handover.start(discovery.firstSweep);
      },
      stop: () => placement.handover.stop(),
    },
    stageOf(clearing({ node, records, held, addressBook, logger })),
  ];
  return {
    node,
    membership,
    protocols,
    addresses,
    reprovider,
    view,
    places,
    lookup,
    closest,
    bootstrap,
    stages,
    questions,
  };
}

async function stopNode(node: RoutingNode): Promise<void> {
  // libp2p would wait half a second for the peers to end the streams that they keep open to us.
  for (const connection of node.getConnections()) {
    connection.abort(new Error('the router stops'));
  }
  await node.stop();
}
