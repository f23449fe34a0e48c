import type { Stream } from '@libp2p/interface';
import type { Multiaddr } from '@multiformats/multiaddr';
import { peerIdFromMultihash } from '@libp2p/peer-id';
import { decode as decodeMultihash } from 'multiformats/hashes/digest';

import { readAddress } from '../node/address-book.ts';
import type { AddressedPeer } from '../node/address-book.ts';
import { announcesLoopback, dialable } from '../node/announced-addresses.ts';
import { Deadline } from '../../timing/deadline.ts';
import {
  decodeDhtMessage,
  encodeAddProvider,
  encodeFindNode,
  encodeGetProviders,
  encodePing,
  encodeProvider,
} from './dht-messages.ts';
import type { WirePeer } from './dht-messages.ts';
import type { FrameReader } from './frame-reader.ts';
import { frame, FrameError } from './frames.ts';
import { peerBytes } from './kademlia.ts';
import { DHT_PROTOCOL } from '../node/libp2p-node.ts';
import type { RoutingNode } from '../node/libp2p-node.ts';
import type { DhtPeer } from '../node/membership.ts';
import type { OwnAddresses } from '../node/own-addresses.ts';
import { StreamPool } from './stream-pool.ts';
import type { Channel } from './stream-pool.ts';

/** Upper bound for an answer, in bytes. */
const MAX_ANSWER_BYTES = 1024 * 1024;
/** Bytes per write to a stream, so that back-pressure takes effect in between. */
const WRITE_BYTES = 64 * 1024;
/** Upper bound for the dialled addresses of a peer that is known from another peer's answer only. */
const MAX_DIALLED_ADDRESSES = 4;

/** Options of {@link DhtClient.getProviders}. */
export interface ProvidersQuestion {
  /**
   * Asks the peer to name closer peers only at a smaller distance than this, by its first 32 bits: in most cases there
   * are none. Other implementations of the DHT name all of the closest all the same. Default: all of the closest.
   */
  readonly closerThan?: number;
  /** Whether the caller knows a closer peer already, which is then skipped. Takes {@link peerBytes} of its ID. */
  readonly isKnown: (bytes: string) => boolean;
}

/** A peer's answer to GET_PROVIDERS. */
export interface ProvidersAnswer {
  readonly providers: readonly AddressedPeer[];
  /** Peers closer to the key that the caller does not know yet. */
  readonly closer: readonly AddressedPeer[];
}

/** Sends requests of the DHT protocol to peers. Every call is bounded in time and in size. */
export class DhtClient {
  readonly #node: RoutingNode;
  readonly #addresses: OwnAddresses;
  readonly #streams = new StreamPool(MAX_ANSWER_BYTES);
  /** ADD_PROVIDER messages by multihash: all closest peers of a key get the same bytes, at every reprovide. */
  #messages = new WeakMap<Uint8Array, Uint8Array>();
  #messageAddresses: readonly Multiaddr[] | undefined;

  constructor(node: RoutingNode, addresses: OwnAddresses) {
    this.#node = node;
    this.#addresses = addresses;
  }

  /**
   * Asks a peer for the providers of a key (GET_PROVIDERS). An answer names up to K closer peers unless
   * the request leaves them out; reading those is most of the work.
   *
   * @throws Error when the peer cannot be dialled or does not answer in time
   */
  async getProviders(
    peer: DhtPeer,
    multihash: Uint8Array,
    { closerThan, isKnown }: ProvidersQuestion,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<ProvidersAnswer> {
    return this.#exchange(peer, timeoutMs, signal, async ({ stream, reader }) => {
      stream.send(frame(encodeGetProviders(multihash, closerThan)));
      const { providers, closer } = decodeDhtMessage(await answer(reader));
      const strangers = closer.filter(({ id }) => !isKnown(peerBytes(id)));
      return { providers: readPeers(providers), closer: readPeers(strangers) };
    });
  }

  /**
   * Asks a peer for the peers closest to a key that it knows (FIND_NODE).
   *
   * @param key any bytes
   * @throws Error when the peer cannot be dialled or does not answer in time
   */
  async findNode(
    peer: DhtPeer,
    key: Uint8Array,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<readonly AddressedPeer[]> {
    return this.#exchange(peer, timeoutMs, signal, async ({ stream, reader }) => {
      stream.send(frame(encodeFindNode(key)));
      return readPeers(decodeDhtMessage(await answer(reader)).closer);
    });
  }

  /**
   * Provides the keys to a peer (ADD_PROVIDER), all on one stream. Resolves with the bytes sent when the peer has
   * handled them. ADD_PROVIDER has no answer. A peer handles the messages of a stream in order, so the answer to a
   * final PING confirms all of them.
   *
   * @throws Error when the peer cannot be dialled or does not confirm in time
   */
  async addProviders(
    peer: DhtPeer,
    multihashes: readonly Uint8Array[],
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<number> {
    const messages = this.#addProviderMessages(multihashes);
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

  #addProviderMessages(multihashes: readonly Uint8Array[]): Uint8Array[] {
    const addresses = this.#addresses.current();
    if (addresses !== this.#messageAddresses) this.#messages = new WeakMap();
    this.#messageAddresses = addresses;
    const provider = encodeProvider({
      id: this.#node.peerId.toMultihash().bytes,
      multiaddrs: addresses.map(({ bytes }) => bytes),
    });
    return multihashes.map((multihash) => {
      const known = this.#messages.get(multihash);
      if (known !== undefined) return known;
      const message = frame(encodeAddProvider(multihash, provider));
      this.#messages.set(multihash, message);
      return message;
    });
  }

  /**
   * Checks that a peer is alive (PING).
   *
   * @throws Error when the peer cannot be dialled or does not answer in time
   */
  async ping(peer: DhtPeer, timeoutMs: number, signal?: AbortSignal): Promise<void> {
    await this.#exchange(peer, timeoutMs, signal, async ({ stream, reader }) => {
      stream.send(frame(encodePing()));
      await answer(reader);
    });
  }

  /** Aborts the idle streams. */
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

  /** Opens a stream; over a new connection when the present one is dead. */
  async #open(peer: DhtPeer, signal: AbortSignal): Promise<Stream> {
    try {
      return await this.#dial(peer, signal);
    } catch (error) {
      if (!isDeadConnection(error) || signal.aborted) throw error;
      // The peer has closed its muxer, but libp2p still lists the connection as open.
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
    const loopback = announcesLoopback(this.#addresses.current());
    const targets = dialable(multiaddrs, { loopback })
      .filter((address) => !namesAnother(address, id.toString()))
      .slice(0, MAX_DIALLED_ADDRESSES)
      .map((address) => withPeerId(address, id.toString()));
    return this.#node.dialProtocol(targets, DHT_PROTOCOL, { signal });
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

async function answer(reader: FrameReader): Promise<Uint8Array> {
  const message = await reader.next();
  if (message === undefined) throw new FrameError('the peer ended the stream without an answer');
  return message;
}

/** Returns the well-formed peers of a list and skips the others. */
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
