import { peerIdFromString } from '@libp2p/peer-id';
import type { Multiaddr } from '@multiformats/multiaddr';

import { Deadline } from '../../timing/deadline.ts';
import { withPeerId } from '../dht/peer-dialer.ts';
import type { AddressBook } from '../node/address-book.ts';
import type { AddressPolicy } from '../node/address-policy.ts';
import { dialable, leadsToNode, tcpAddress } from '../node/announced-addresses.ts';
import type { RoutingNode } from '../node/libp2p-node.ts';
import type { BootstrapPeer } from './bootstrapper.ts';

/**
 * How long one peer may take to be dialled, in milliseconds. Nodes that all start at once on a busy machine take
 * seconds for a handshake.
 */
const DIAL_TIMEOUT_MS = 10_000;
/** How long a round goes on to other peers when some cannot be reached, in milliseconds. */
const ROUND_MS = 20_000;
/**
 * Connections that the bootstrap aims at. The rest of the network is found by `Discovery`: a cluster whose nodes all
 * start at once would otherwise shake hands each with each in the same second.
 */
const WANTED_CONNECTIONS = 8;
/** Peers dialled in each round all the same: parts of a network that was divided meet again by these. */
const MIN_DIALLED = 2;

/** Components of {@link BootstrapDialer}. */
export interface BootstrapDialerComponents {
  readonly node: RoutingNode;
  /** The addresses at which connected peers listen: an inbound connection comes from another port. */
  readonly addressBook: Pick<AddressBook, 'get'>;
  readonly policy: Pick<AddressPolicy, 'allows' | 'configure'>;
}

/** Dials some of the bootstrap peers that the node is not connected with. */
export class BootstrapDialer {
  readonly #node: RoutingNode;
  readonly #addressBook: Pick<AddressBook, 'get'>;
  readonly #policy: Pick<AddressPolicy, 'allows' | 'configure'>;

  constructor({ node, addressBook, policy }: BootstrapDialerComponents) {
    this.#node = node;
    this.#addressBook = addressBook;
    this.#policy = policy;
  }

  /**
   * Whether the peer is this node itself: by all its addresses. One with our peer ID at an address of another host may
   * be a duplicate of this node.
   */
  isSelf({ peerId, multiaddrs }: BootstrapPeer): boolean {
    if (peerId !== undefined && peerId !== this.#node.peerId.toString()) return false;
    const own = new Set(this.#node.services.listening.addresses().map(socketOf));
    return multiaddrs.every((address) => own.has(socketOf(address)));
  }

  /**
   * Dials peers that the node is not connected with, in random order, until it has {@link WANTED_CONNECTIONS}; at least
   * {@link MIN_DIALLED}, all at a time. For each that cannot be reached, another one is dialled, for {@link ROUND_MS}.
   * Never rejects.
   *
   * @param signal ends the dials
   * @returns the first address of each peer that was dialled and not reached, with the reason
   */
  async connect(peers: readonly BootstrapPeer[], signal: AbortSignal): Promise<string[]> {
    const connected = this.#connectedSockets();
    const strangers = peers.filter((peer) => !this.#isConnected(peer, connected));
    const failures: string[] = [];
    const wanted = Math.max(MIN_DIALLED, WANTED_CONNECTIONS - this.#node.getPeers().length);
    const candidates = shuffled(strangers).values();
    const end = performance.now() + ROUND_MS;
    const connectOne = async (): Promise<void> => {
      for (const peer of candidates) {
        try {
          await this.#dial(peer, signal);
          return;
        } catch (error) {
          if (signal.aborted) return;
          // Either this node, or one that has its identity: `DuplicateIdentity` watches the handshake.
          if (isSelfDial(error) || this.#hasOwnId(peer)) continue;
          const why = error instanceof Error ? error.message : String(error);
          failures.push(`${String(peer.multiaddrs[0])}: ${why}`);
        }
        if (performance.now() > end) return;
      }
    };
    await Promise.all(Array.from({ length: wanted }, connectOne));
    return failures;
  }

  async #dial(peer: BootstrapPeer, signal: AbortSignal): Promise<void> {
    using deadline = new Deadline(DIAL_TIMEOUT_MS, signal);
    const { peerId } = peer;
    const addresses = this.#addressesOf(peer);
    if (addresses.length === 0) throw new Error('no node can be at this address');
    // Our own peer ID in an address would keep libp2p from dialling it.
    const targets =
      peerId === undefined || this.#hasOwnId({ peerId })
        ? addresses
        : addresses.map((address) => withPeerId(address, peerId));
    await this.#node.dial(targets, { signal: deadline.signal });
  }

  #addressesOf({ multiaddrs, isNamedByNode = false }: BootstrapPeer): Multiaddr[] {
    if (isNamedByNode) return dialable(multiaddrs, (socket) => this.#policy.allows(socket));
    // An administrator may name another node on this host, or name one by its host name.
    const addresses = dialable(multiaddrs, (socket) => leadsToNode(socket, true), true);
    for (const address of addresses) this.#policy.configure(address);
    return addresses;
  }

  #hasOwnId({ peerId }: Pick<BootstrapPeer, 'peerId'>): boolean {
    return peerId === this.#node.peerId.toString();
  }

  #isConnected({ peerId, multiaddrs }: BootstrapPeer, connected: ReadonlySet<string>): boolean {
    if (peerId !== undefined) {
      return this.#node.getConnections(peerIdFromString(peerId)).length > 0;
    }
    return multiaddrs.some((address) => connected.has(socketOf(address)));
  }

  /** Returns the sockets at which connected peers listen, including those whose connections are inbound. */
  #connectedSockets(): Set<string> {
    const sockets = new Set(
      this.#node.getConnections().map(({ remoteAddr }) => socketOf(remoteAddr)),
    );
    for (const peerId of this.#node.getPeers()) {
      const known = this.#addressBook.get(peerId.toString());
      for (const address of known?.multiaddrs ?? []) sockets.add(socketOf(address));
    }
    return sockets;
  }
}

/** Returns `10.0.0.1/5001`, or the text of an address of another form. */
function socketOf(address: Multiaddr): string {
  const socket = tcpAddress(address);
  return socket === undefined ? address.toString() : `${socket.ip}/${String(socket.port)}`;
}

/** Whether libp2p found our own peer ID behind an address that was not recognised as ours. */
function isSelfDial(error: unknown): boolean {
  return error instanceof Error && /dial self/i.test(error.message);
}

/** Shuffles, so that nodes that start together do not all dial the same peer first. */
function shuffled<T>(values: readonly T[]): T[] {
  return values
    .map((value) => ({ value, order: Math.random() }))
    .sort((a, b) => a.order - b.order)
    .map(({ value }) => value);
}
