import type { Stream } from '@libp2p/interface';
import type { Multiaddr } from '@multiformats/multiaddr';

import type { AddressPolicy } from '../node/address-policy.ts';
import { dialable } from '../node/announced-addresses.ts';
import type { RoutingNode } from '../node/libp2p-node.ts';
import type { DhtPeer } from '../node/membership.ts';

/** Upper bound for the dialled addresses of a peer that is known from another peer's answer only. */
const MAX_DIALLED_ADDRESSES = 4;

/** Opens streams to peers: over the connection that is there, or a new one to the addresses that were named. */
export class PeerDialer {
  readonly #node: Pick<RoutingNode, 'getConnections' | 'dialProtocol'>;
  readonly #policy: Pick<AddressPolicy, 'allows'>;

  constructor(
    node: Pick<RoutingNode, 'getConnections' | 'dialProtocol'>,
    policy: Pick<AddressPolicy, 'allows'>,
  ) {
    this.#node = node;
    this.#policy = policy;
  }

  /**
   * Opens a stream; over a new connection when the present one is dead.
   *
   * @throws Error when the peer cannot be dialled or does not speak the protocol
   */
  async open(peer: DhtPeer, protocol: string, signal: AbortSignal): Promise<Stream> {
    try {
      return await this.#dial(peer, protocol, signal);
    } catch (error) {
      if (!isDeadConnection(error) || signal.aborted) throw error;
      // The peer has closed its muxer, but libp2p still lists the connection as open.
      for (const connection of this.#node.getConnections(peer.id)) {
        connection.abort(new Error('the connection is dead'));
      }
      return this.#dial(peer, protocol, signal);
    }
  }

  async #dial({ id, multiaddrs }: DhtPeer, protocol: string, signal: AbortSignal): Promise<Stream> {
    if (multiaddrs === undefined || this.#node.getConnections(id).length > 0) {
      return this.#node.dialProtocol(id, protocol, { signal });
    }
    const targets = dialable(multiaddrs, (socket) => this.#policy.allows(socket))
      .filter((address) => !namesAnother(address, id.toString()))
      .slice(0, MAX_DIALLED_ADDRESSES)
      .map((address) => withPeerId(address, id.toString()));
    return this.#node.dialProtocol(targets, protocol, { signal });
  }
}

function isDeadConnection(error: unknown): boolean {
  return error instanceof Error && error.name === 'ConnectionClosedError';
}

/** Whether the address leads to another peer, which would answer in the place of this one. */
function namesAnother(address: Multiaddr, peerId: string): boolean {
  return address.getComponents().some(({ name, value }) => name === 'p2p' && value !== peerId);
}

/** Appends the peer ID to an address, so that dialling it fails when another peer answers there. */
export function withPeerId(address: Multiaddr, peerId: string): Multiaddr {
  const named = address.getComponents().some(({ name }) => name === 'p2p');
  return named ? address : address.encapsulate(`/p2p/${peerId}`);
}
