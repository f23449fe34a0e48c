import type { Connection, PeerId, Stream } from '@libp2p/interface';
import type { Logger } from 'pino';

import { isAborted, pause } from '../../timing/pause.ts';
import type { AddressBook } from '../node/address-book.ts';
import { remoteHostOf } from '../node/host-of.ts';
import {
  decodeDhtMessage,
  encodeAnswer,
  encodePing,
  isRepeatable,
  keyOfRepeat,
  MESSAGE_TYPE,
} from './dht-messages.ts';
import type { DhtMessage } from './dht-messages.ts';
import type { FrameReader } from './frame-reader.ts';
import { frame, FrameError } from './frames.ts';
import { closest, distanceTo, peerBytes, K } from './kademlia.ts';
import { recordKeyOf, targetOf } from './key.ts';
import { MESSAGE_MS, serveStream } from './served-stream.ts';
import type { Membership } from '../node/membership.ts';
import type { OwnAddresses } from '../node/own-addresses.ts';
import type { ProviderRecords, RecordOrigin } from './provider-records.ts';
import type { RequestRateLimiter } from './request-rate-limiter.ts';
import type { Refusal, RoutingObserver } from '../routing-observer.ts';

/** Upper bound for a request, in bytes: a key, and in ADD_PROVIDER one peer with its addresses. */
const MAX_REQUEST_BYTES = 8 * 1024;
/** Upper bound for a key, in bytes; the value of go-libp2p-kad-dht. */
const MAX_KEY_BYTES = 80;
/** Upper bound for the providers in one answer. */
const MAX_PROVIDERS_PER_ANSWER = 100;
/** Tokens that a request costs (see {@link RequestRateLimiter}): an answer is ten times the work of a record. */
const COST = { store: 1, answer: 10 };

/** Components of {@link DhtServer}: answers are made of the records, the members and the addresses of peers. */
export interface DhtServerComponents {
  readonly ownPeerId: PeerId;
  readonly records: ProviderRecords;
  readonly membership: Membership;
  readonly addressBook: AddressBook;
  readonly addresses: OwnAddresses;
  readonly rateLimiter: RequestRateLimiter;
  /** Whether this node has the records that it is to keep. */
  readonly isEstablished: () => boolean;
  readonly observer: RoutingObserver;
  readonly logger: Logger;
}

/** Who sends the requests of a stream, as the connection proves. */
interface Requester {
  /** The multihash of its ID. */
  readonly id: Uint8Array;
  readonly text: string;
  /** Of the records that it provides. */
  readonly origin: RecordOrigin;
}

/**
 * Answers the requests of the DHT as the libp2p specification "kad-dht" requires. It replaces the handler of
 * kad-dht, which reads every provider and every closer peer from the peer store for each request: that is most of
 * the cost of a look-up. Values are not stored: Spegel's network has none.
 *
 * Messages are bounded in size and in time. A malformed message ends its own stream and nothing else. A peer that
 * sends requests too fast is read later (see {@link RequestRateLimiter}).
 */
export class DhtServer {
  readonly #components: DhtServerComponents;
  readonly #ownId: Uint8Array;
  readonly #ownText: string;
  readonly #stopped = new AbortController();

  constructor(components: DhtServerComponents) {
    this.#components = components;
    this.#ownId = components.ownPeerId.toMultihash().bytes;
    this.#ownText = components.ownPeerId.toString();
  }

  /** Serves one stream of a peer until it ends. Never rejects. */
  async serve(stream: Stream, { remotePeer, remoteAddr }: Connection): Promise<void> {
    const { logger } = this.#components;
    const bounds = { maxBytes: MAX_REQUEST_BYTES, stopped: this.#stopped.signal };
    try {
      const requester = {
        id: remotePeer.toMultihash().bytes,
        text: remotePeer.toString(),
        origin: { host: remoteHostOf(remoteAddr) },
      };
      await serveStream(stream, bounds, (reader) => this.#answerAll(stream, reader, requester));
    } catch (err) {
      if (err instanceof FrameError) this.#refuse('malformed');
      logger.debug({ peerId: remotePeer.toString(), err }, 'a stream of the DHT failed');
    }
  }

  /** Aborts all streams. */
  stop(): void {
    this.#stopped.abort();
  }

  async #answerAll(stream: Stream, reader: FrameReader, requester: Requester): Promise<void> {
    const { rateLimiter } = this.#components;
    const { signal } = this.#stopped;
    const { text, id } = requester;
    /** The last ADD_PROVIDER: the next ones of a reprovide differ from it in the key only. */
    let previous: Uint8Array | undefined;
    for (;;) {
      const bytes = await reader.next();
      if (bytes === undefined || isAborted(signal)) return;
      const repeated = previous && keyOfRepeat(bytes, previous);
      const message = repeated === undefined ? decodeDhtMessage(bytes) : undefined;
      const isAnswered = message !== undefined && !isStoring(message);
      const wait = rateLimiter.spend(text, isAnswered ? COST.answer : COST.store);
      if (wait > 0) {
        this.#refuse('too-fast');
        await pause(wait, signal);
      }
      if (repeated !== undefined) this.#add(repeated, requester);
      if (message === undefined) continue;
      const answer = this.#handle(message, requester);
      if (message.type === MESSAGE_TYPE.addProvider && message.providers.length === 1) {
        // A copy, because the bytes are a view on a larger buffer.
        const isModel = this.#isOwn(message, id) && isRepeatable(bytes, message);
        previous = isModel ? bytes.slice() : undefined;
      }
      if (answer === undefined) continue;
      if (!stream.send(frame(answer))) {
        await stream.onDrain({ signal: AbortSignal.timeout(MESSAGE_MS) });
      }
    }
  }

  /**
   * Handles one request and returns its answer, if it has one.
   *
   * @throws {FrameError} for a request that no node sends
   */
  #handle(message: DhtMessage, requester: Requester): Uint8Array | undefined {
    if (message.type === MESSAGE_TYPE.ping) return encodePing();
    if (message.key.length === 0 || message.key.length > MAX_KEY_BYTES) {
      throw new FrameError('a request without a key, or with one that is too long');
    }
    switch (message.type) {
      case MESSAGE_TYPE.addProvider:
        this.#store(message, requester);
        return undefined;
      case MESSAGE_TYPE.getProviders:
        return this.#answer(message, requester.id, this.#providers(message.key));
      case MESSAGE_TYPE.findNode:
      case MESSAGE_TYPE.getValue:
        return this.#answer(message, requester.id, []);
      default:
        throw new FrameError('a request that is not served');
    }
  }

  /** Stores the record of the sender; records of other peers are refused, as in go-libp2p-kad-dht. */
  #store(message: DhtMessage, requester: Requester): void {
    const { id, text } = requester;
    const own = message.providers.find((provider) => Buffer.compare(provider.id, id) === 0);
    if (own === undefined) {
      this.#refuse('foreign-provider');
      return;
    }
    this.#components.addressBook.set(text, id, own.multiaddrs);
    this.#add(message.key, requester);
  }

  #isOwn({ providers: [provider] }: DhtMessage, id: Uint8Array): boolean {
    return provider !== undefined && Buffer.compare(provider.id, id) === 0;
  }

  #add(key: Uint8Array, { text, origin }: Requester): void {
    const recordKey = recordKeyOf(key);
    if (recordKey === undefined) this.#refuse('foreign-key');
    else if (!this.#components.records.add(recordKey, text, origin)) this.#refuse('no-room');
  }

  #providers(key: Uint8Array): Uint8Array[] {
    const { records } = this.#components;
    const recordKey = recordKeyOf(key);
    if (recordKey === undefined) return [];
    return records
      .providers(recordKey, MAX_PROVIDERS_PER_ANSWER)
      .map((peerId) => this.#wireOf(peerId))
      .filter((wire) => wire !== undefined);
  }

  #wireOf(peerId: string): Uint8Array | undefined {
    const { addressBook, addresses } = this.#components;
    return peerId === this.#ownText ? addresses.wire : addressBook.get(peerId)?.wire;
  }

  /**
   * Encodes an answer with the closest peers except the requester. They are named from this node's own knowledge only,
   * so that a dead peer is not named again and again. The requester may ask for those only that are closer than the ones it knows.
   */
  #answer(
    { type, key, providersOnly, closerThan }: DhtMessage,
    requester: Uint8Array,
    providers: Uint8Array[],
  ): Uint8Array {
    // Those who ask so are of ours, and understand it.
    const said = providersOnly ? { established: this.#components.isEstablished() } : {};
    if (providersOnly && closerThan === 0)
      return encodeAnswer({ type, key, closer: [], providers, ...said });
    const target = targetOf(key);
    const { membership, addressBook, addresses } = this.#components;
    const requesterBytes = peerBytes(requester);
    const closer: Uint8Array[] = [];
    if (type === MESSAGE_TYPE.findNode && Buffer.compare(key, this.#ownId) === 0) {
      closer.push(addresses.wire);
    }
    for (const peer of closest(target, membership.verified(), K + 1)) {
      if (providersOnly && distanceTo(target, peer) >= closerThan) break;
      const { bytes, text } = peer;
      const wire = bytes === requesterBytes ? undefined : addressBook.get(text)?.wire;
      if (wire !== undefined && closer.length < K) closer.push(wire);
    }
    return encodeAnswer({ type, key, closer, providers, ...said });
  }

  #refuse(reason: Refusal): void {
    this.#components.observer.onRefusal?.(reason);
  }
}

function isStoring({ type }: DhtMessage): boolean {
  return type === MESSAGE_TYPE.addProvider || type === MESSAGE_TYPE.ping;
}
