import type {
  Connection,
  IdentifyResult,
  PeerId,
  PrivateKey,
  Stream,
  StreamHandler,
  StreamHandlerOptions,
  Topology,
} from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { multiaddr, type Multiaddr } from '@multiformats/multiaddr';

import { announcedAddresses, tcpAddress } from '../../routing/node/announced-addresses.ts';
import { DHT_PROTOCOL, type NodeInit, type RoutingNode } from '../../routing/node/libp2p-node.ts';
import type { LookupTrace } from './lookup-trace.ts';
import { socketOf, type NodeNetwork } from './node-network.ts';
import type { SimulatedConnection } from './simulated-connection.ts';
import { SimulatedDialer } from './simulated-dialer.ts';
import { SimulatedPeerStore } from './simulated-peer-store.ts';
import { Traffic } from './traffic.ts';

/** Protocols that each real node speaks beside those that it registers, and which identify names. */
const BASE_PROTOCOLS = ['/ipfs/id/1.0.0', '/ipfs/ping/1.0.0'];

interface RegisteredHandler {
  readonly handler: StreamHandler;
  readonly options: StreamHandlerOptions;
}

/**
 * A node without sockets: the part of libp2p's node that the routing uses. It listens on one address, has an empty table
 * of kad-dht, and identifies its peers as libp2p does.
 */
export class SimulatedNode extends EventTarget {
  readonly network: NodeNetwork;
  readonly peerId: PeerId;
  readonly address: Multiaddr;
  /** The address at which the nodes that it dials see it. */
  readonly ephemeralAddress: Multiaddr;
  readonly traffic = new Traffic();
  readonly peerStore = new SimulatedPeerStore();
  readonly services: {
    readonly listening: object;
    readonly dht: object;
    readonly lastHeard: object;
  };
  status: 'stopped' | 'started' = 'stopped';
  /** Whether its bytes are lost and those to it. */
  isOffline = false;
  /** Count the rounds of the look-ups that it does. */
  readonly traces = new Set<LookupTrace>();
  readonly #init: NodeInit;
  readonly #dialer: SimulatedDialer;
  readonly #connections = new Map<string, SimulatedConnection[]>();
  /** All of them; the routing asks for them before each dial. */
  #all: readonly SimulatedConnection[] | undefined;
  #connectionCount = 0;
  readonly #handlers = new Map<string, RegisteredHandler>();
  readonly #topologies = new Map<string, { protocol: string; topology: Topology }>();
  #announced: Multiaddr[] | undefined;

  constructor(network: NodeNetwork, init: NodeInit & { readonly privateKey: PrivateKey }) {
    super();
    this.network = network;
    this.#init = init;
    this.#dialer = new SimulatedDialer(this);
    this.peerId = peerIdFromPrivateKey(init.privateKey);
    const [listen = ''] = init.listen;
    this.address = multiaddr(listen);
    this.ephemeralAddress = multiaddr(`/ip4/${tcpAddress(this.address)?.ip ?? ''}/tcp/40000`);
    this.#handlers.set(DHT_PROTOCOL, {
      handler: init.serveDht,
      options: { maxInboundStreams: 256 },
    });
    const table = Object.assign(new EventTarget(), {
      size: 0,
      kb: { toIterable: () => [] },
      remove: () => Promise.resolve(),
    });
    this.services = {
      listening: { addresses: () => (this.status === 'started' ? [this.address] : []) },
      dht: { routingTable: table },
      lastHeard: {
        of: (peerId: string) => this.connections(peerId).at(-1)?.heardAt,
      },
    };
  }

  /** The node as libp2p's type. */
  get asNode(): RoutingNode {
    return this as unknown as RoutingNode;
  }

  /** `10.0.0.7:5001` */
  get socket(): string {
    return socketOf(this.address);
  }

  /** Begins to listen. */
  start(): Promise<void> {
    this.status = 'started';
    this.network.join(this);
    return Promise.resolve();
  }

  /** Ends all connections and listens no more. */
  stop(): Promise<void> {
    this.status = 'stopped';
    this.network.leave(this);
    for (const connection of this.connections()) connection.abort(undefined);
    return Promise.resolve();
  }

  getMultiaddrs(): Multiaddr[] {
    const { registry, sortAddresses } = this.#init;
    // One address has one order.
    this.#announced ??= announcedAddresses([this.address], registry, sortAddresses);
    return this.status === 'started' ? this.#announced : [];
  }

  getProtocols(): string[] {
    return [...BASE_PROTOCOLS, ...this.#handlers.keys()];
  }

  getPeers(): PeerId[] {
    return [...this.#connections.values()].flatMap(([first]) => first?.remotePeer ?? []);
  }

  getConnections(peerId?: PeerId): Connection[] {
    return this.connections(peerId?.toString()) as unknown as Connection[];
  }

  /** All connections, or those with one peer. The same array until one comes or goes. */
  connections(peerId?: string): readonly SimulatedConnection[] {
    if (peerId !== undefined) return this.#connections.get(peerId) ?? [];
    this.#all ??= [...this.#connections.values()].flat();
    return this.#all;
  }

  get connectionCount(): number {
    return this.#connectionCount;
  }

  handle(protocol: string, handler: StreamHandler, options = {}): Promise<void> {
    this.#handlers.set(protocol, { handler, options });
    return Promise.resolve();
  }

  unhandle(protocol: string): Promise<void> {
    this.#handlers.delete(protocol);
    return Promise.resolve();
  }

  handlerOf(protocol: string): RegisteredHandler | undefined {
    return this.#handlers.get(protocol);
  }

  register(protocol: string, topology: Topology): Promise<string> {
    const id = `${protocol} ${this.#topologies.size}`;
    this.#topologies.set(id, { protocol, topology });
    return Promise.resolve(id);
  }

  unregister(id: string): void {
    this.#topologies.delete(id);
  }

  /** @throws Error when no address leads to the peer, or the signal aborts */
  async dial(
    target: PeerId | Multiaddr | Multiaddr[],
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<Connection> {
    return (await this.#dialer.connect(target, signal)).asConnection;
  }

  /** @throws Error when no address leads to the peer, it has no handler, or the signal aborts */
  async dialProtocol(
    target: PeerId | Multiaddr | Multiaddr[],
    protocol: string,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<Stream> {
    const rounds = [...this.traces].map((trace) => [trace, trace.next] as const);
    const connection = await this.#dialer.connect(target, signal);
    const stream = await connection.newStream(protocol, signal);
    for (const [trace, round] of rounds) trace.opened(stream, round);
    this.peerStore.addProtocol(connection.remotePeer, protocol);
    return stream.asStream;
  }

  /** Called when a connection has opened; identify follows a round trip later, or at once. */
  onConnectionOpen(connection: SimulatedConnection, isIdentified = false): void {
    const text = connection.remotePeer.toString();
    const present = this.#connections.get(text);
    if (present === undefined) this.#connections.set(text, [connection]);
    else this.#connections.set(text, [...present, connection]);
    this.#all = undefined;
    this.#connectionCount += 1;
    this.traffic.mostConnections = Math.max(this.traffic.mostConnections, this.#connectionCount);
    if (present === undefined) this.#dispatch('peer:connect', connection.remotePeer);
    if (isIdentified) {
      this.#identify(connection);
      return;
    }
    connection.carry(() => {
      connection.carry(() => {
        if (connection.status === 'open') this.#identify(connection);
      });
    });
  }

  /** Called when a connection has ended. */
  onConnectionEnd(connection: SimulatedConnection): void {
    const id = connection.remotePeer;
    const present = this.connections(id.toString());
    const rest = present.filter((each) => each !== connection);
    // It may have ended before it had opened here.
    if (rest.length === present.length) return;
    this.#all = undefined;
    this.#connectionCount -= 1;
    if (rest.length > 0) {
      this.#connections.set(id.toString(), rest);
      return;
    }
    this.#connections.delete(id.toString());
    for (const topology of this.#topologiesOf(this.peerStore.protocolsOf(id))) {
      void topology.onDisconnect?.(id);
    }
    this.#dispatch('peer:disconnect', id);
  }

  #identify(connection: SimulatedConnection): void {
    const { far } = connection;
    const protocols = far.getProtocols();
    const listenAddrs = far.getMultiaddrs();
    this.peerStore.set(far.peerId, protocols, listenAddrs);
    for (const topology of this.#topologiesOf(protocols)) {
      void topology.onConnect?.(far.peerId, connection.asConnection);
    }
    const detail: IdentifyResult = {
      peerId: far.peerId,
      protocols,
      listenAddrs,
      observedAddr: connection.direction === 'outbound' ? this.ephemeralAddress : this.address,
      connection: connection.asConnection,
    };
    this.#dispatch('peer:identify', detail);
  }

  #topologiesOf(protocols: readonly string[]): Topology[] {
    return [...this.#topologies.values()]
      .filter(({ protocol }) => protocols.includes(protocol))
      .map(({ topology }) => topology);
  }

  #dispatch(type: string, detail: unknown): void {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
