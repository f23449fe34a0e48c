import type { Multiaddr } from '@multiformats/multiaddr';
import { peerIdFromMultihash } from '@libp2p/peer-id';
import { decode as decodeMultihash } from 'multiformats/hashes/digest';

import { readAddress } from '../node/address-book.ts';
import type { AddressedPeer } from '../node/address-book.ts';
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
import type { AddressPolicy } from '../node/address-policy.ts';
import { PeerDialer } from './peer-dialer.ts';
import { StreamPool } from './stream-pool.ts';
import type { Channel } from './stream-pool.ts';

/** Upper bound for an answer, in bytes. */
const MAX_ANSWER_BYTES = 1024 * 1024;
/** Bytes per write to a stream, so that back-pressure takes effect in between. */
const WRITE_BYTES = 64 * 1024;

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
  /** Whether the peer has the records that it is to keep, by its own word; undefined when it does not say. */
  readonly established?: boolean | undefined;
}

/** Sends requests of the DHT protocol to peers. Every call is bounded in time and in size. */
export class DhtClient {
  readonly #node: RoutingNode;
  readonly #addresses: OwnAddresses;
  readonly #dialer: PeerDialer;
  readonly #streams = new StreamPool(MAX_ANSWER_BYTES);
  /** ADD_PROVIDER messages by multihash: all closest peers of a key get the same bytes, at every reprovide. */
  #messages = new WeakMap<Uint8Array, Uint8Array>();
  #messageAddresses: readonly Multiaddr[] | undefined;

  constructor(node: RoutingNode, addresses: OwnAddresses, policy: Pick<AddressPolicy, 'allows'>) {
    this.#node = node;
    this.#addresses = addresses;
    this.#dialer = new PeerDialer(node, policy);
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
      const { providers, closer, established } = decodeDhtMessage(await answer(reader));
      const strangers = closer.filter(({ id }) => !isKnown(peerBytes(id)));
      return { providers: readPeers(providers), closer: readPeers(strangers), established };
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
      () => this.#dialer.open(peer, DHT_PROTOCOL, deadline.signal),
      (channel) => talk(channel, deadline.signal),
      deadline.signal,
    );
  }
}

async function answer(reader: FrameReader): Promise<Uint8Array> {
  const message = await reader.next();
  if (message === undefined) throw new FrameError('the peer ended the stream without an answer');
  return message;
}

/** Returns the well-formed peers of a list and skips the others. */
export function readPeers(peers: readonly WirePeer[]): AddressedPeer[] {
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
