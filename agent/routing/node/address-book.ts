import { multiaddr } from '@multiformats/multiaddr';
import type { Multiaddr } from '@multiformats/multiaddr';

import { encodePeer } from '../dht/dht-messages.ts';

/** Addresses kept of one peer. */
const MAX_ADDRESSES = 16;
/** Bytes of one address at most; an IPv6 address with port, peer ID and some more has 70. */
const MAX_ADDRESS_BYTES = 128;
/** Peers kept at most. */
const MAX_PEERS = 20_000;

/** Where a peer is, as it has told us itself. Replaced as a whole when it tells us something else. */
export interface AddressedPeer {
  /** In text form. */
  readonly peerId: string;
  readonly multiaddrs: readonly Multiaddr[];
}

/** An entry of the {@link AddressBook}. */
interface KnownPeer extends AddressedPeer {
  /** As it stands in the lists of DHT messages. */
  readonly wire: Uint8Array;
  /** All addresses, one after another, to notice that they are the same as before. */
  readonly fingerprint: string;
}

/**
 * What peers have said of where they are, over connections that prove who says it: when they identified
 * themselves, and in the records that they place. Answers of the DHT are put together from it. (libp2p's own
 * peer store decodes a peer each time that it is read, and takes what others say of a peer as well.)
 */
export class AddressBook {
  readonly #peers = new Map<string, KnownPeer>();

  /** Peers in it. */
  get size(): number {
    return this.#peers.size;
  }

  get(peerId: string): KnownPeer | undefined {
    return this.#peers.get(peerId);
  }

  /**
   * Takes what a peer says of itself; without any address of use, what it said before stays.
   *
   * @param id the multihash of the peer ID
   * @param addresses binary multiaddrs
   */
  set(peerId: string, id: Uint8Array, addresses: readonly Uint8Array[]): void {
    const candidates = addresses
      .filter(({ length }) => length > 0 && length <= MAX_ADDRESS_BYTES)
      .slice(0, MAX_ADDRESSES);
    const fingerprint = Buffer.concat(candidates).toString('latin1');
    const known = this.#peers.get(peerId);
    if (known?.fingerprint === fingerprint) return;
    if (known === undefined && this.#peers.size >= MAX_PEERS) return;
    const multiaddrs = candidates.flatMap(readAddress);
    if (multiaddrs.length === 0) return;
    const wire = encodePeer({ id, multiaddrs: multiaddrs.map(({ bytes }) => bytes) });
    this.#peers.set(peerId, { peerId, multiaddrs, wire, fingerprint });
  }

  /** Forgets all peers that the caller does not want to keep. */
  prune(isInUse: (peerId: string) => boolean): void {
    for (const peerId of this.#peers.keys()) {
      if (!isInUse(peerId)) this.#peers.delete(peerId);
    }
  }
}

/** An address in binary form; nothing when it is none. */
export function readAddress(bytes: Uint8Array): Multiaddr[] {
  try {
    return [multiaddr(bytes)];
  } catch {
    return [];
  }
}
