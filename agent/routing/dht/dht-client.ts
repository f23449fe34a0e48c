import type { Stream } from '@libp2p/interface';
import type { Multiaddr } from '@multiformats/multiaddr';
import { peerIdFromMultihash } from '@libp2p/peer-id';
import { decode as decodeMultihash } from 'multiformats/hashes/digest';

import { readAddress } from '../node/address-book.ts';
import type { AddressedPeer } from '../node/address-book.ts';
import { isRegistryAddress } from '../node/announced-addresses.ts';
import { Deadline } from '../../timing/deadline.ts';
import {
  decodeDhtMessage,
  encodeAddProvider,
  encodeGetProviders,
  encodePing,
  encodeProvider,
} from './dht-messages.ts';
import type { WirePeer } from './dht-messages.ts';
import { frame, FrameError } from './frames.ts';
import type { FrameReader } from './frames.ts';
import { peerBytes } from './kademlia.ts';
import { DHT_PROTOCOL } from '../node/libp2p-node.ts';
import type { RoutingNode } from '../node/libp2p-node.ts';
import type { DhtPeer } from '../node/membership.ts';
import type { OwnAddresses } from '../node/own-addresses.ts';
import { StreamPool } from './stream-pool.ts';
import type { Channel } from './stream-pool.ts';

/** Bytes of an answer at most. */
const MAX_ANSWER_BYTES = 1024 * 1024;
/** Bytes handed to a stream at once, so that it can tell when it has enough. */
const WRITE_BYTES = 64 * 1024;
/** Addresses of a peer tried at most, when only an answer of another peer has named it. */
const MAX_DIALLED_ADDRESSES = 4;

/** How a peer is asked about a key. */
export interface ProvidersQuestion {
  /** Whether closer peers are of no use. It may name them all the same: other implementations do. */
  readonly providersOnly: boolean;
  /** Which closer peers are not worth reading, by the bytes of their IDs (see {@link peerBytes}). */
  readonly isKnown: (bytes: string) => boolean;
}

/** What a peer says about a key. */
export interface ProvidersAnswer {
  readonly providers: readonly AddressedPeer[];
  /** Peers that it thinks closer to the key, of those that the caller does not know yet. */
  readonly closer: readonly AddressedPeer[];
}

/** Speaks the DHT protocol with one peer at a time; all its calls are bounded in time and size. */
export class DhtClient {
  readonly #node: RoutingNode;
  readonly #addresses: OwnAddresses;
  readonly #streams = new StreamPool(MAX_ANSWER_BYTES);
  /** ADD_PROVIDER by multihash: the same for each of the 20 peers that get it, and at each refresh. */
  #announcements = new WeakMap<Uint8Array, Uint8Array>();
  #announced: readonly Multiaddr[] | undefined;

  constructor(node: RoutingNode, addresses: OwnAddresses) {
    this.#node = node;
    this.#addresses = addresses;
  }

  /**
   * Asks a peer who has a key (GET_PROVIDERS). Rejects when it does not answer in time. It names up to 20
   * closer peers each time, unless told not to, and reading those is most of the work.
   */
  async getProviders(
    peer: DhtPeer,
    multihash: Uint8Array,
    { providersOnly, isKnown }: ProvidersQuestion,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<ProvidersAnswer> {
    return this.#exchange(peer, timeoutMs, signal, async ({ stream, reader }) => {
      stream.send(frame(encodeGetProviders(multihash, providersOnly)));
      const { providers, closer } = decodeDhtMessage(await answer(reader));
      const strangers = closer.filter(({ id }) => !isKnown(peerBytes(id)));
      return { providers: readPeers(providers), closer: readPeers(strangers) };
    });
  }

  /**
   * Places records that we provide the keys with a peer (ADD_PROVIDER), all on one stream, and resolves
   * when it has handled them, with the bytes sent. ADD_PROVIDER has no answer of its own; a peer handles the
   * messages of a stream in order, so the answer to a PING after them stands for all.
   */
  async addProviders(
    peer: DhtPeer,
    multihashes: readonly Uint8Array[],
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<number> {
    const messages = this.#announce(multihashes);
    const bytes = Buffer.concat([...messages, frame(encodePing())]);
    await this.#exchange(peer, timeoutMs, signal, async ({ stream, reader }, deadline) => {
      for (let at = 0; at < bytes.length; at += WRITE_BYTES) {
        const more = stream.send(bytes.subarray(at, at + WRITE_BYTES));
        if (!more) await stream.onDrain({ signal: deadline });
      }
      await answer(reader);
    });
    return bytes.length;
  }

  #announce(multihashes: readonly Uint8Array[]): Uint8Array[] {
    const addresses = this.#addresses.current();
    if (addresses !== this.#announced) this.#announcements = new WeakMap();
    this.#announced = addresses;
    const provider = encodeProvider({
      id: this.#node.peerId.toMultihash().bytes,
      multiaddrs: addresses.map(({ bytes }) => bytes),
    });
    return multihashes.map((multihash) => {
      const known = this.#announcements.get(multihash);
      if (known !== undefined) return known;
      const message = frame(encodeAddProvider(multihash, provider));
      this.#announcements.set(multihash, message);
      return message;
    });
  }

  /** Asks a peer whether it is there (PING); rejects when it does not answer in time. */
  async ping(peer: DhtPeer, timeoutMs: number, signal?: AbortSignal): Promise<void> {
    await this.#exchange(peer, timeoutMs, signal, async ({ stream, reader }) => {
      stream.send(frame(encodePing()));
      await answer(reader);
    });
  }

  /** Ends the streams that are kept open for later. */
  stop(): void {
    this.#streams.stop();
  }

  async #exchange<T>(
    peer: DhtPeer,
    timeoutMs: number,
    signal: AbortSignal | undefined,
    talk: (channel: Channel, deadline: AbortSignal) => Promise<T>,
  ): Promise<T> {
    using deadline = new Deadline(timeoutMs, signal);
    return await this.#streams.use(
      peer.text,
      () => this.#open(peer, deadline.signal),
      (channel) => talk(channel, deadline.signal),
      deadline.signal,
    );
  }

  /** Opens a stream; over a new connection when the one that is there turns out to be dead. */
  async #open(peer: DhtPeer, signal: AbortSignal): Promise<Stream> {
    try {
      return await this.#dial(peer, signal);
    } catch (error) {
      if (!isDeadConnection(error) || signal.aborted) throw error;
      // The peer has said goodbye, and libp2p goes on taking the connection for an open one.
      for (const connection of this.#node.getConnections(peer.id)) {
        connection.abort(new Error('the connection is dead'));
      }
      return this.#dial(peer, signal);
    }
  }

  async #dial({ id, multiaddrs }: DhtPeer, signal: AbortSignal): Promise<Stream> {
    if (multiaddrs === undefined || this.#node.getConnections(id).length > 0) {
      return this.#node.dialProtocol(id, DHT_PROTOCOL, { signal });
    }
    const targets = multiaddrs
      .filter((address) => !isRegistryAddress(address))
      .slice(0, MAX_DIALLED_ADDRESSES)
      .map((address) => withPeerId(address, id.toString()));
    return this.#node.dialProtocol(targets, DHT_PROTOCOL, { signal });
  }
}

function isDeadConnection(error: unknown): boolean {
  return error instanceof Error && error.name === 'ConnectionClosedError';
}

/** The address with the peer ID that is to be met there. */
export function withPeerId(address: Multiaddr, peerId: string): Multiaddr {
  const named = address.getComponents().some(({ name }) => name === 'p2p');
  return named ? address : address.encapsulate(`/p2p/${peerId}`);
}

async function answer(reader: FrameReader): Promise<Uint8Array> {
  const message = await reader.next();
  if (message === undefined) throw new FrameError('the peer ended the stream without an answer');
  return message;
}

/** The well-formed peers of a list; what cannot be read is left out, the rest stays useful. */
function readPeers(peers: readonly WirePeer[]): AddressedPeer[] {
  const read: AddressedPeer[] = [];
  for (const { id, multiaddrs } of peers) {
    try {
      const peerId = peerIdFromMultihash(decodeMultihash(id)).toString();
      read.push({ peerId, multiaddrs: multiaddrs.flatMap(readAddress) });
    } catch {
      continue;
    }
  }
  return read;
}
