import { setTimeout as delay } from 'node:timers/promises';

import type { PrivateKey } from '@libp2p/interface';
import type { Multiaddr } from '@multiformats/multiaddr';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';

import { BootstrapLoop } from './bootstrap/bootstrap-loop.ts';
import type { Bootstrapper } from './bootstrap/bootstrapper.ts';
import { DhtClient } from './dht/dht-client.ts';
import { DhtServer } from './dht/dht-server.ts';
import type { ProviderRecords } from './dht/provider-records.ts';
import { RequestRateLimiter } from './dht/request-rate-limiter.ts';
import type { RoutingKey } from './dht/key.ts';
import { WithdrawProtocol } from './dht/withdraw-protocol.ts';
import { ClosestMembers } from './lookup/closest-members.ts';
import { Connector } from './discovery/connector.ts';
import { Discovery } from './discovery/discovery.ts';
import type { NegativeCache } from './lookup/negative-cache.ts';
import { ProviderLookup } from './lookup/provider-lookup.ts';
import { ProviderView } from './lookup/provider-view.ts';
import { AddressBook } from './node/address-book.ts';
import { AddressOrder } from './node/address-order.ts';
import { IdentityProbe } from './node/identity-probe.ts';
import { createNode } from './node/libp2p-node.ts';
import type { RoutingNode } from './node/libp2p-node.ts';
import { Liveness } from './node/liveness.ts';
import { dhtPeer, Membership } from './node/membership.ts';
import { OwnAddresses } from './node/own-addresses.ts';
import { PeerProtocols } from './node/peer-protocols.ts';
import { prunePeers } from './node/peer-store-pruning.ts';
import { Reprovider } from './provide/reprovider.ts';
import type { RoutingObserver } from './routing-observer.ts';

/** How long the first records wait until this node has looked for all members, however many do not answer. */
const JOINING_MS = 1500;
/** Default of `maxConnections`. */
const DEFAULT_MAX_CONNECTIONS = 150;
/** How often expired records and departed peers are removed from memory. */
const CLEARING_MS = 60_000;

export interface RouterPartsComponents {
  readonly privateKey: PrivateKey;
  readonly bootstrapper: Bootstrapper;
  readonly logger: Logger;
  /** These two belong to the router: they are there before its parts, and after them. */
  readonly records: ProviderRecords;
  readonly negativeCache: NegativeCache;
  /** See `DuplicateIdentity`. Default: nothing happens. */
  readonly onDuplicate?: (address: string) => void;
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
  /** Milliseconds between two probes for another node with our identity; default 30 s. */
  readonly probeMs?: number;
  /** Milliseconds from its start in which a node takes a new identity when another has the same; default 2 minutes. */
  readonly youngMs?: number;
  readonly observer?: RoutingObserver;
  /** Where libp2p's own metrics go, `libp2p_*`. Without it there are none. */
  readonly metricsRegistry?: Registry;
}

/** A part that is started or stopped with the router. */
interface Stage {
  readonly start?: () => void | Promise<void>;
  readonly stop?: () => void | Promise<void>;
}

/** The parts that a router calls while it runs. */
export interface RouterParts {
  readonly node: RoutingNode;
  readonly membership: Membership;
  readonly addresses: OwnAddresses;
  readonly reprovider: Reprovider;
  readonly view: ProviderView;
  readonly lookup: ProviderLookup;
  readonly closest: ClosestMembers;
  readonly bootstrap: BootstrapLoop;
  /** In the order in which they start; they stop in reverse. */
  readonly stages: readonly Stage[];
}

/**
 * Starts all stages in order. When one fails, it and those before it are stopped.
 *
 * @throws {RouterListenError} see `createNode`
 */
export async function startStages({ stages }: Pick<RouterParts, 'stages'>): Promise<void> {
  await using started = new AsyncDisposableStack();
  for (const { start, stop } of stages) {
    started.defer(() => stop?.());
    await start?.();
  }
  started.move();
}

/** Stops all stages. One that fails to stop does not keep the others running: its error is thrown at the end. */
export async function stopStages({ stages }: Pick<RouterParts, 'stages'>): Promise<void> {
  await using started = new AsyncDisposableStack();
  for (const { stop } of stages) started.defer(() => stop?.());
}

/** Makes the parts of a router; nothing runs before {@link startStages}. */
export async function createRouterParts(
  { privateKey, bootstrapper, logger, records, negativeCache, onDuplicate }: RouterPartsComponents,
  init: Libp2pRouterInit,
): Promise<RouterParts> {
  const { listen, registryPort, refreshMs, peerTimeoutMs, observer = {} } = init;
  const { metricsRegistry, registryTls = false, tlsPeersOnly = false } = init;
  const { maxConnections = DEFAULT_MAX_CONNECTIONS } = init;
  const addressBook = new AddressBook();
  const order = new AddressOrder();
  const { node, start: listenAndConnect } = await createNode({
    privateKey,
    serveDht: (stream, connection) => server.serve(stream, connection),
    listen,
    registry: { port: registryPort, tls: registryTls },
    sortAddresses: (sockets) => order.sort(sockets),
    ...(onDuplicate !== undefined && { onDuplicate }),
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
    observer,
    logger,
  });
  const client = new DhtClient(node, addresses);
  const liveness = new Liveness({ node, client, membership, logger });
  const reprovider = new Reprovider(
    { client, membership, records, withdrawals, logger, observer },
    { ownPeerId, ...(refreshMs !== undefined && { refreshMs }) },
  );
  const view = new ProviderView(
    { records, addressBook, membership, addresses },
    { ownPeerId, registryPort, tlsOnly: tlsPeersOnly },
  );
  const lookup = new ProviderLookup(
    { self, client, membership, view, negativeCache, observer, logger },
    peerTimeoutMs === undefined ? {} : { peerTimeoutMs },
  );
  const closest = new ClosestMembers({ self, membership, view, protocols });
  const bootstrap = new BootstrapLoop({ node, bootstrapper, addressBook, logger });
  const discovery = new Discovery({ self, client, membership, logger });
  const connector = new Connector({ self, node, client, membership, logger }, maxConnections);
  const anyKey = (): RoutingKey | undefined => reprovider.anyKey();
  const probe = new IdentityProbe({ node, client, membership, anyKey, logger }, init.probeMs);
  const stages: Stage[] = [
    { stop: () => stopNode(node) },
    // Before the node starts, so that no peer is missed, and identify names our own protocol.
    { start: () => withdrawals.start(), stop: () => withdrawals.stop() },
    stageOf(protocols),
    stageOf(membership),
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
    clearing({ node, records, addressBook, logger }),
  ];
  return { node, membership, addresses, reprovider, view, lookup, closest, bootstrap, stages };
}

function stageOf(part: Required<Stage>): Stage {
  return { start: () => part.start(), stop: () => part.stop() };
}

async function stopNode(node: RoutingNode): Promise<void> {
  // libp2p would wait half a second for the peers to end the streams that they keep open to us.
  for (const connection of node.getConnections()) {
    connection.abort(new Error('the router stops'));
  }
  await node.stop();
}

interface ClearingComponents {
  readonly node: RoutingNode;
  readonly records: ProviderRecords;
  readonly addressBook: AddressBook;
  readonly logger: Logger;
}

/** Removes expired records and departed peers from memory, at intervals. */
function clearing({ node, records, addressBook, logger }: ClearingComponents): Stage {
  let timer: NodeJS.Timeout | undefined;
  return {
    start: () => {
      timer = setInterval(() => {
        records.sweep();
        prunePeers(node, records, addressBook).catch((err: unknown) => {
          logger.debug({ err }, 'departed peers not removed from the peer store');
        });
      }, CLEARING_MS);
    },
    stop: () => {
      clearInterval(timer);
    },
  };
}
