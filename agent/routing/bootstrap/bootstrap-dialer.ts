import { networkInterfaces } from 'node:os';

import { peerIdFromString } from '@libp2p/peer-id';
import type { Multiaddr } from '@multiformats/multiaddr';
import pLimit from 'p-limit';
import type { Logger } from 'pino';

import { Deadline } from '../../timing/deadline.ts';
import { withPeerId } from '../dht/dht-client.ts';
import type { AddressBook } from '../node/address-book.ts';
import { isLoopback, isRegistryAddress, tcpAddress } from '../node/announced-addresses.ts';
import type { RoutingNode } from '../node/libp2p-node.ts';
import type { BootstrapPeer } from './bootstrapper.ts';

/**
 * How long one peer may take to be dialled, in milliseconds. Nodes that all start at once on a busy machine take
 * seconds for a handshake.
 */
const DIAL_TIMEOUT_MS = 10_000;
/** Upper bound for concurrent dials. */
const CONCURRENCY = 16;

/** Components of {@link BootstrapDialer}. */
export interface BootstrapDialerComponents {
  readonly node: RoutingNode;
  /** The addresses at which connected peers listen: an inbound connection comes from another port. */
  readonly addressBook: Pick<AddressBook, 'get'>;
  readonly logger: Logger;
}

/** Dials the bootstrap peers that the node is not connected with. */
export class BootstrapDialer {
  readonly #node: RoutingNode;
  readonly #addressBook: Pick<AddressBook, 'get'>;
  readonly #logger: Logger;
  readonly #limit = pLimit(CONCURRENCY);
  #hasWarnedOfTwin = false;

  constructor({ node, addressBook, logger }: BootstrapDialerComponents) {
    this.#node = node;
    this.#addressBook = addressBook;
    this.#logger = logger;
  }

  /** Whether the peer is this node itself: by its peer ID, or by all its addresses. */
  isSelf({ peerId, multiaddrs }: BootstrapPeer): boolean {
    if (peerId !== undefined) return peerId === this.#node.peerId.toString();
    const own = new Set(this.#node.services.listening.addresses().map(socketOf));
    return multiaddrs.every((address) => own.has(socketOf(address)));
  }

  /**
   * Dials the peers that the node is not connected with, a few at a time and in random order. Never rejects.
   *
   * @param signal ends the dials
   * @returns the first address of each peer that could not be reached, with the reason
   */
  async connect(peers: readonly BootstrapPeer[], signal: AbortSignal): Promise<string[]> {
    const connected = this.#connectedSockets();
    const failures: string[] = [];
    await Promise.all(
      shuffled(peers).map((peer) =>
        this.#limit(async () => {
          if (signal.aborted || this.#isConnected(peer, connected)) return;
          try {
            await this.#dial(peer, signal);
          } catch (error) {
            if (isSelfDial(error)) {
              this.#warnOfTwin(peer);
              return;
            }
            const why = error instanceof Error ? error.message : String(error);
            failures.push(`${String(peer.multiaddrs[0])}: ${why}`);
          }
        }),
      ),
    );
    return failures;
  }

  async #dial({ peerId, multiaddrs }: BootstrapPeer, signal: AbortSignal): Promise<void> {
    using deadline = new Deadline(DIAL_TIMEOUT_MS, signal);
    const addresses = multiaddrs.filter((address) => !isRegistryAddress(address));
    const targets =
      peerId === undefined ? addresses : addresses.map((address) => withPeerId(address, peerId));
    await this.#node.dial(targets, { signal: deadline.signal });
  }

  /** Warns once when a node with our identity answers at an address of another host: a copied data directory. */
  #warnOfTwin({ multiaddrs }: BootstrapPeer): void {
    const foreign = multiaddrs.find(isForeign);
    if (this.#hasWarnedOfTwin || foreign === undefined) return;
    this.#hasWarnedOfTwin = true;
    this.#logger.warn(
      { peerId: this.#node.peerId.toString(), address: foreign.toString() },
      'another node seems to have the identity of this one, and the two do not find each other: remove private.key from the data directory of one of them and restart it',
    );
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

/** Whether the address is an IP that this host does not have; false for a DNS name, which may be either. */
function isForeign(address: Multiaddr): boolean {
  const ip = tcpAddress(address)?.ip;
  if (ip === undefined || isLoopback(ip)) return false;
  return !Object.values(networkInterfaces())
    .flat()
    .some((own) => own?.address === ip);
}

/** Shuffles, so that nodes that start together do not all dial the same peer first. */
function shuffled<T>(values: readonly T[]): T[] {
  return values
    .map((value) => ({ value, order: Math.random() }))
    .sort((a, b) => a.order - b.order)
    .map(({ value }) => value);
}
