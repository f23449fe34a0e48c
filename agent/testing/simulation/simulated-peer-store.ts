import { NotFoundError } from '@libp2p/interface';
import type { Peer, PeerId } from '@libp2p/interface';
import type { Multiaddr } from '@multiformats/multiaddr';

interface StoredPeer {
  readonly id: PeerId;
  protocols: string[];
  multiaddrs: readonly Multiaddr[];
  /** As by `Date.now`. */
  updated: number;
}

/** The part of libp2p's peer store that the routing uses, in memory. */
export class SimulatedPeerStore {
  readonly #peers = new Map<string, StoredPeer>();

  /** @throws {NotFoundError} when there is no entry */
  get(id: PeerId): Promise<Peer> {
    const peer = this.#peers.get(id.toString());
    if (peer === undefined)
      return Promise.reject(new NotFoundError(`${id.toString()} is not known`));
    return Promise.resolve(asPeer(peer));
  }

  all(): Promise<Peer[]> {
    return Promise.resolve([...this.#peers.values()].map(asPeer));
  }

  patch(id: PeerId, { multiaddrs }: { readonly multiaddrs?: readonly Multiaddr[] }): Promise<Peer> {
    const peer = this.set(id, this.protocolsOf(id), multiaddrs ?? this.addressesOf(id));
    return Promise.resolve(asPeer(peer));
  }

  delete(id: PeerId): Promise<void> {
    this.#peers.delete(id.toString());
    return Promise.resolve();
  }

  /** What identify has told of a peer. */
  set(id: PeerId, protocols: string[], multiaddrs: readonly Multiaddr[]): StoredPeer {
    const peer = { id, protocols, multiaddrs, updated: Date.now() };
    this.#peers.set(id.toString(), peer);
    return peer;
  }

  /** A peer has accepted a stream of the protocol. */
  addProtocol(id: PeerId, protocol: string): void {
    const protocols = this.protocolsOf(id);
    if (!protocols.includes(protocol)) this.set(id, [...protocols, protocol], this.addressesOf(id));
  }

  protocolsOf(id: PeerId): string[] {
    return this.#peers.get(id.toString())?.protocols ?? [];
  }

  addressesOf(id: PeerId): readonly Multiaddr[] {
    return this.#peers.get(id.toString())?.multiaddrs ?? [];
  }
}

function asPeer({ id, protocols, multiaddrs, updated }: StoredPeer): Peer {
  const addresses = multiaddrs.map((each) => ({ multiaddr: each, isCertified: false }));
  return { id, protocols, addresses, metadata: new Map(), tags: new Map(), updated } as Peer;
}
