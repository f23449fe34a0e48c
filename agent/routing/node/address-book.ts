import { multiaddr } from '@multiformats/multiaddr';
import type { Multiaddr } from '@multiformats/multiaddr';

import { encodePeer } from '../dht/dht-messages.ts';

/** Maximum number of addresses of one peer. */
const MAX_ADDRESSES = 16;
/** Maximum size of one address in bytes. An IPv6 address with port and peer ID has 70. */
const MAX_ADDRESS_BYTES = 128;
/** Maximum number of peers. */
const MAX_PEERS = 20_000;

/** The addresses that a peer has announced itself. A new announcement replaces the object as a whole. */
export interface AddressedPeer {
  /** In text form. */
  readonly peerId: string;
  readonly multiaddrs: readonly Multiaddr[];
}

/** An entry of the {@link AddressBook}. */
interface KnownPeer extends AddressedPeer {
  /** Its encoding in the lists of DHT messages. */
  readonly wire: Uint8Array;
  /** All addresses, one after another, to detect an announcement that changes nothing. */
  readonly fingerprint: string;
}

/**
 * The addresses that peers have announced themselves, over authenticated connections: in identify, and in the records
 * that they send. Answers of the DHT are built from it. (libp2p's own peer store decodes a peer each time it is
 * read, and accepts addresses of a peer from others.)
 *
 * When it is full it takes no more peers. It does not forget the oldest: the address of a peer with records must stay.
 */
export class AddressBook {
  readonly #peers = new Map<string, KnownPeer>();

  /** Number of peers. */
  get size(): number {
    return this.#peers.size;
  }

  get(peerId: string): KnownPeer | undefined {
    return this.#peers.get(peerId);
  }

  /**
   * Sets the addresses of a peer. When none of them is usable, those from before stay.
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

  /** Removes all peers that are not in use. */
  prune(isInUse: (peerId: string) => boolean): void {
    for (const peerId of this.#peers.keys()) {
      if (!isInUse(peerId)) this.#peers.delete(peerId);
    }
  }
}

/**
 * Decodes a binary multiaddr; an empty list when it is malformed or too long. The address has a copy of the bytes, which
 * are part of a whole message.
 */
export function readAddress(bytes: Uint8Array): Multiaddr[] {
  if (bytes.length > MAX_ADDRESS_BYTES) return [];
  try {
    return [multiaddr(Uint8Array.from(bytes))];
  } catch {
    return [];
  }
}
