import { noise } from '@chainsafe/libp2p-noise';
import { identify } from '@libp2p/identify';
import type { Identify } from '@libp2p/identify';
import type {
  ConnectionProtector,
  Libp2p,
  PeerId,
  PrivateKey,
  StreamHandler,
  Transport,
} from '@libp2p/interface';
import { FaultTolerance } from '@libp2p/interface';
import type { KadDHT } from '@libp2p/kad-dht';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { ping } from '@libp2p/ping';
import type { Ping } from '@libp2p/ping';
import { prometheusMetrics } from '@libp2p/prometheus-metrics';
import { tcp } from '@libp2p/tcp';
import type { Multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import type { Registry } from 'prom-client';

import { codeOf, hasCode } from '../../errors/system-error.ts';
import { withDialsWithoutKey } from '../private-network/dials-without-key.ts';
import { SwarmProtector } from '../private-network/swarm-protector.ts';
import type { SwarmProtectorComponents } from '../private-network/swarm-protector.ts';
import {
  announcedAddresses,
  tcpAddress,
  type RegistryEndpoint,
  type SocketAddress,
} from './announced-addresses.ts';
import { withOwnDialSignals } from './dial-signals.ts';
import { DuplicateIdentity } from './duplicate-identity.ts';
import { identifyConnections } from './identification.ts';
import { InboundLimit } from './inbound-limit.ts';
import { kadService } from './kad-service.ts';
import { LastHeard } from './last-heard.ts';
import { Libp2pMetrics } from './libp2p-metrics.ts';
import { boundPeerStore } from './peer-store-bounds.ts';
import { quietLogger } from './quiet-logger.ts';
import { thriftyYamux } from './thrifty-yamux.ts';
import { withWholeWrites } from './whole-writes.ts';

/** The protocol of Spegel's DHT. */
export const DHT_PROTOCOL = '/spegel/kad/1.0.0';

// libp2p's own limits are meant for the open internet. In a cluster all nodes start at once, several agents
// may share an address, and each node has up to some 200 connections.
const MAX_CONNECTIONS = 2000;
const MAX_INCOMING_PENDING_CONNECTIONS = 500;
const INBOUND_CONNECTIONS_PER_HOST_AND_SECOND = 500;
const MAX_DIAL_QUEUE_LENGTH = 5000;
const ADDRESS_DIAL_TIMEOUT_MS = 10_000;
/**
 * TCP keep-alive finds hosts that vanished: after 5 s without traffic the kernel sends a probe, and ten more at
 * intervals of a second (libuv's values), at no cost to this process.
 */
const KEEP_ALIVE = { keepAlive: true, keepAliveInitialDelay: 5000 };
/**
 * libp2p ends a connection on which no byte was sent for two minutes. `Liveness` asks a peer after two seconds for each
 * member: with 100 of them, idle connections would end and be made again all the time. Zero: never.
 */
const INACTIVITY = { inboundSocketInactivityTimeout: 0, outboundSocketInactivityTimeout: 0 };
/** Bytes that a peer may send on a stream before earlier ones are read: yamux's minimum. */
const STREAM_WINDOW_BYTES = 256 * 1024;

interface NodeServices extends Record<string, unknown> {
  identify: Identify;
  ping: Ping;
  dht: KadDHT;
  lastHeard: LastHeard;
  /** The addresses that it listens on, wildcards resolved to the host's current addresses. */
  listening: { addresses(): Multiaddr[] };
}

/** The libp2p node of the router. */
export type RoutingNode = Libp2p<NodeServices>;

/** Options of {@link createNode}. */
export interface NodeInit {
  readonly privateKey: PrivateKey;
  /** Serves the streams of the DHT's protocol. */
  readonly serveDht: StreamHandler;
  /** Multiaddrs to listen on. */
  readonly listen: readonly string[];
  /** The registry to announce. */
  readonly registry?: RegistryEndpoint;
  /** See `announcedAddresses`. */
  readonly sortAddresses?: (sockets: readonly SocketAddress[]) => readonly SocketAddress[];
  /** See `DuplicateIdentity`. */
  readonly onDuplicate?: (address: string) => void;
  /** Whether the address may be dialled. Default: each. */
  readonly allowsDial?: (address: Multiaddr) => boolean;
  /** Called with the address of a connection that is refused, as its host has too many. */
  readonly onFlood?: (address: string) => void;
  /** Who may connect. Default: each node, without a key. */
  readonly swarm?: SwarmProtectorComponents;
  /** Lets libp2p write its own log when the environment variable `DEBUG` is set. */
  readonly verbose?: boolean;
  /** Where libp2p's own metrics go, `libp2p_*`. Without it there are none. */
  readonly metricsRegistry?: Registry;
}

/** Makes a node that is not started, see {@link createNode}. */
export type CreateNode = (
  init: NodeInit,
) => Promise<{ node: RoutingNode; start: () => Promise<void> }>;

/** The used part of kad-dht's routing table. Its published type has the size only. */
export interface KadRoutingTable {
  readonly size: number;
  readonly kb: { toIterable(): Iterable<{ readonly peerId: PeerId }> };
  remove(peerId: PeerId): Promise<void>;
  addEventListener(type: 'peer:add' | 'peer:remove', listener: () => void): void;
  removeEventListener(type: 'peer:add' | 'peer:remove', listener: () => void): void;
}

/** The node cannot listen on one of its addresses. */
export class RouterListenError extends Error {
  override readonly name = 'RouterListenError';
  readonly code = 'ERR_ROUTER_LISTEN';
  /** `10.0.0.1:5001` */
  readonly address: string;
  /** The system's error code: `EADDRINUSE`, `EACCES`, ... */
  readonly systemCode: string;

  constructor(address: string, systemCode: string, options?: ErrorOptions) {
    const why = systemCode === 'EADDRINUSE' ? 'the address is in use' : systemCode;
    super(`the router cannot listen on ${address}: ${why}`, options);
    this.address = address;
    this.systemCode = systemCode;
  }
}

/** The node's routing table. */
export function routingTableOf(node: RoutingNode): KadRoutingTable {
  return (node.services.dht as KadDHT & { routingTable: KadRoutingTable }).routingTable;
}

/** Makes a node that is not started. Call the `start` of the result, not the node's: it reports failures to listen. */
export async function createNode(
  init: NodeInit,
): Promise<{ node: RoutingNode; start: () => Promise<void> }> {
  const failures: ListenFailure[] = [];
  let listening: () => Multiaddr[] = () => [];
  const lastHeard = new LastHeard();
  const duplicates = new DuplicateIdentity({
    ownPeerId: peerIdFromPrivateKey(init.privateKey),
    onFound: init.onDuplicate ?? (() => undefined),
  });
  const { swarm, onFlood } = init;
  const inbound = new InboundLimit(onFlood === undefined ? {} : { onRefused: onFlood });
  const node = await createLibp2p<NodeServices>({
    start: false,
    privateKey: init.privateKey,
    nodeInfo: { userAgent: 'peerglass' },
    ...(init.verbose !== true && { logger: quietLogger }),
    ...(init.metricsRegistry !== undefined && {
      metrics: prometheusMetrics({
        registry: new Libp2pMetrics(init.metricsRegistry),
        collectDefaultMetrics: false,
      }),
    }),
    addresses: {
      listen: [...init.listen],
      // libp2p would announce public addresses only after a peer has confirmed them, and would announce loopback.
      announceFilter: () => announcedAddresses(listening(), init.registry, init.sortAddresses),
    },
    transports: [
      (components) =>
        reportingListenFailures(
          duplicates.watchDials(
            withDialsWithoutKey(
              withOwnDialSignals(
                tcp({ dialOpts: KEEP_ALIVE, listenOpts: KEEP_ALIVE, ...INACTIVITY })(components),
              ),
              swarm?.isOpen === true,
            ),
          ),
          failures,
        ),
    ],
    ...(swarm !== undefined && {
      connectionProtector: (): ConnectionProtector => new SwarmProtector(swarm),
    }),
    // `startNode` decides which failure is fatal: libp2p would ignore an IPv6 port that is in use.
    transportManager: { faultTolerance: FaultTolerance.NO_FATAL },
    connectionEncrypters: [
      (components) =>
        duplicates.watchHandshakes(
          lastHeard.watchConnections(withWholeWrites(noise()(components))),
        ),
    ],
    streamMuxers: [
      thriftyYamux({
        // TCP keep-alive and `Liveness` find peers that are gone.
        enableKeepAlive: false,
        streamOptions: {
          initialStreamWindowSize: STREAM_WINDOW_BYTES,
          maxStreamWindowSize: STREAM_WINDOW_BYTES,
        },
      }),
    ],
    connectionGater: {
      denyDialMultiaddr: (address) => init.allowsDial?.(address) === false,
      denyInboundConnection: (connection) => inbound.denies(connection),
      denyInboundUpgradedConnection: (_, connection) => {
        inbound.established(connection);
        return false;
      },
    },
    // `Liveness` does the same at a lower cost.
    connectionMonitor: { enabled: false },
    // By default an address expires an hour after it was *first* seen, even if it was seen again, and a peer without
    // address cannot be dialled. Identify replaces the addresses at each new connection, and
    // `peer-store-pruning.ts` removes departed peers.
    peerStore: { maxAddressAge: Infinity, maxPeerAge: Infinity },
    connectionManager: {
      maxConnections: MAX_CONNECTIONS,
      maxIncomingPendingConnections: MAX_INCOMING_PENDING_CONNECTIONS,
      inboundConnectionThreshold: INBOUND_CONNECTIONS_PER_HOST_AND_SECOND,
      maxDialQueueLength: MAX_DIAL_QUEUE_LENGTH,
      // The default is shorter than the time for a whole dial.
      addressDialTimeout: ADDRESS_DIAL_TIMEOUT_MS,
    },
    services: {
      // `identifyConnections` does it, and tries again.
      identify: identify({ runOnConnectionOpen: false }),
      ping: ping(),
      dht: kadService(DHT_PROTOCOL, init.serveDht),
      lastHeard: () => lastHeard,
      listening: ({ transportManager }) => {
        listening = () => transportManager.getAddrs();
        return { addresses: listening };
      },
    },
  });
  identifyConnections(node);
  boundPeerStore(node.peerStore, {
    isInUse: (id) => node.getConnections(id).length > 0,
  });
  return { node, start: () => startNode(node, failures) };
}

interface ListenFailure {
  readonly address: Multiaddr;
  readonly cause: unknown;
}

async function startNode(node: RoutingNode, failures: readonly ListenFailure[]): Promise<void> {
  await node.start();
  const reachable = node.services.listening.addresses().length > 0;
  const fatal = failures.find((failure) => !reachable || !isWithoutIPv6(failure));
  if (fatal === undefined) return;
  await node.stop();
  const socket = tcpAddress(fatal.address);
  const host = socket?.ip.includes(':') === true ? `[${socket.ip}]` : socket?.ip;
  const text =
    socket === undefined ? fatal.address.toString() : `${host ?? ''}:${String(socket.port)}`;
  throw new RouterListenError(text, codeOf(fatal.cause) ?? 'unknown error', { cause: fatal.cause });
}

/** Whether the host has no IPv6, or it is switched off: the node starts all the same. */
function isWithoutIPv6({ address, cause }: ListenFailure): boolean {
  const absent = ['EAFNOSUPPORT', 'EADDRNOTAVAIL', 'EPROTONOSUPPORT'];
  return address.getComponents()[0]?.name === 'ip6' && hasCode(cause, ...absent);
}

/** Records the errors of listening: libp2p reports them as prose only. */
function reportingListenFailures(transport: Transport, failures: ListenFailure[]): Transport {
  const createListener = transport.createListener.bind(transport);
  transport.createListener = (options) => {
    const listener = createListener(options);
    const listen = listener.listen.bind(listener);
    listener.listen = async (address) => {
      try {
        await listen(address);
      } catch (cause) {
        failures.push({ address, cause });
        throw cause;
      }
    };
    return listener;
  };
  return transport;
}
