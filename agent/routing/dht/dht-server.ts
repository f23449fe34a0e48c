import type { Connection, PeerId, Stream } from '@libp2p/interface';
import type { Logger } from 'pino';

import { isAborted, pause } from '../../timing/pause.ts';
import type { AddressBook } from '../node/address-book.ts';
import {
  decodeDhtMessage,
  encodeAnswer,
  encodePing,
  keyOfRepeat,
  MESSAGE_TYPE,
} from './dht-messages.ts';
import type { DhtMessage } from './dht-messages.ts';
import { frame, FrameError, FrameReader } from './frames.ts';
import { closest, peerBytes, K } from './kademlia.ts';
import { recordKeyOf, targetOf } from './key.ts';
import type { Membership } from '../node/membership.ts';
import type { OwnAddresses } from '../node/own-addresses.ts';
import type { ProviderRecords } from './provider-records.ts';
import type { RequestRateLimiter } from './request-rate-limiter.ts';
import type { Refusal, RoutingObserver } from '../routing-observer.ts';

/** Bytes of a request at most: a key, and in ADD_PROVIDER one peer with its addresses. */
const MAX_REQUEST_BYTES = 8 * 1024;
/** Bytes of a key at most, go-libp2p-kad-dht's bound. */
const MAX_KEY_BYTES = 80;
/** Providers named in one answer. */
const MAX_PROVIDERS_PER_ANSWER = 100;
/**
 * How long a stream may be quiet between two messages. go-libp2p-kad-dht keeps one stream to a peer for all
 * its requests, and after a few that were ended under it opens a new one for each.
 */
const IDLE_MS = 20 * 60_000;
/** How long a message may take from its first byte to its last, or an answer to be taken. */
const MESSAGE_MS = 10_000;
/** What a request costs of the peer's budget: putting an answer together is ten times storing a record. */
const COST = { store: 1, answer: 10 };

/** What {@link DhtServer} works with. */
export interface DhtServerComponents {
  readonly ownPeerId: PeerId;
  readonly records: ProviderRecords;
  readonly membership: Membership;
  readonly addressBook: AddressBook;
  readonly addresses: OwnAddresses;
  readonly budget: RequestRateLimiter;
  readonly observer: RoutingObserver;
  readonly logger: Logger;
}

/**
 * Answers the DHT's requests, in place of kad-dht's own handler, which looks every provider and every closer
 * peer up in the peer store each time: that is most of what a look-up costs. The answers are those that the
 * libp2p specification "kad-dht" asks for. Values are not kept: Spegel's network has none.
 *
 * Whatever a peer sends, it costs it its own stream at most: messages are bounded in size and time, and one
 * that asks faster than its budget allows is read later (see {@link RequestRateLimiter}).
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

  /** Handles one stream of a peer until it ends; never rejects. */
  async serve(stream: Stream, { remotePeer }: Connection): Promise<void> {
    const { logger } = this.#components;
    const onStop = (): void => {
      stream.abort(new Error('the router stops'));
    };
    this.#stopped.signal.addEventListener('abort', onStop);
    try {
      using reader = new FrameReader(stream, MAX_REQUEST_BYTES, {
        idleMs: IDLE_MS,
        messageMs: MESSAGE_MS,
      });
      await this.#answerAll(stream, reader, remotePeer);
      if (stream.remoteWriteStatus === 'writable') {
        // Ended by us. After a mere close Go's node would go on writing records to it, and never know that
        // nobody reads them.
        stream.abort(new Error('the stream was quiet for too long'));
      } else {
        await stream.close();
      }
    } catch (err) {
      if (err instanceof FrameError) this.#refuse('malformed');
      logger.debug({ peerId: remotePeer.toString(), err }, 'a stream of the directory broke off');
      stream.abort(err instanceof Error ? err : new Error('cannot serve the stream'));
    } finally {
      this.#stopped.signal.removeEventListener('abort', onStop);
    }
  }

  /** Ends all streams. */
  stop(): void {
    this.#stopped.abort();
  }

  async #answerAll(stream: Stream, reader: FrameReader, peer: PeerId): Promise<void> {
    const { budget } = this.#components;
    const { signal } = this.#stopped;
    const text = peer.toString();
    const id = peer.toMultihash().bytes;
    /** The last message that placed a record: the next ones of a sweep differ from it in the key only. */
    let placing: Uint8Array | undefined;
    for (;;) {
      const bytes = await reader.next();
      if (bytes === undefined || isAborted(signal)) return;
      const repeated = placing && keyOfRepeat(bytes, placing);
      const message = repeated === undefined ? decodeDhtMessage(bytes) : undefined;
      const isAnswered = message !== undefined && !isStoring(message);
      const wait = budget.spend(text, isAnswered ? COST.answer : COST.store);
      if (wait > 0) {
        this.#refuse('too-fast');
        await pause(wait, signal);
      }
      if (repeated !== undefined) this.#add(repeated, text);
      if (message === undefined) continue;
      const answer = this.#handle(message, text, id);
      if (message.type === MESSAGE_TYPE.addProvider && message.providers.length === 1) {
        // A copy: the bytes are part of all that came with them.
        placing = this.#isOwn(message, id) ? bytes.slice() : undefined;
      }
      if (answer === undefined) continue;
      if (!stream.send(frame(answer))) {
        await stream.onDrain({ signal: AbortSignal.timeout(MESSAGE_MS) });
      }
    }
  }

  /** The answer, if the request has one. @throws {FrameError} for a request that no node sends */
  #handle(message: DhtMessage, peerId: string, id: Uint8Array): Uint8Array | undefined {
    if (message.type === MESSAGE_TYPE.ping) return encodePing();
    if (message.key.length === 0 || message.key.length > MAX_KEY_BYTES) {
      throw new FrameError('a request without a key, or with one that is too long');
    }
    switch (message.type) {
      case MESSAGE_TYPE.addProvider:
        this.#store(message, peerId, id);
        return undefined;
      case MESSAGE_TYPE.getProviders:
        return this.#answer(message, id, this.#providers(message.key));
      case MESSAGE_TYPE.findNode:
      case MESSAGE_TYPE.getValue:
        return this.#answer(message, id, []);
      default:
        throw new FrameError('a request that is not served');
    }
  }

  /** A node places records of its own only: others are left out, as in Go. */
  #store(message: DhtMessage, peerId: string, id: Uint8Array): void {
    const own = message.providers.find((provider) => Buffer.compare(provider.id, id) === 0);
    if (own === undefined) {
      this.#refuse('foreign-provider');
      return;
    }
    this.#components.addressBook.set(peerId, id, own.multiaddrs);
    this.#add(message.key, peerId);
  }

  #isOwn({ providers: [provider] }: DhtMessage, id: Uint8Array): boolean {
    return provider !== undefined && Buffer.compare(provider.id, id) === 0;
  }

  #add(key: Uint8Array, peerId: string): void {
    const recordKey = recordKeyOf(key);
    if (recordKey === undefined) this.#refuse('foreign-key');
    else if (!this.#components.records.add(recordKey, peerId)) this.#refuse('no-room');
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

  /** With the closest peers that we know, but for the one that asks; it may have no use for them. */
  #answer(
    { type, key, providersOnly }: DhtMessage,
    asker: Uint8Array,
    providers: Uint8Array[],
  ): Uint8Array {
    if (providersOnly) return encodeAnswer({ type, key, closer: [], providers });
    const { membership, addressBook, addresses } = this.#components;
    const askerBytes = peerBytes(asker);
    const closer: Uint8Array[] = [];
    if (type === MESSAGE_TYPE.findNode && Buffer.compare(key, this.#ownId) === 0) {
      closer.push(addresses.wire);
    }
    for (const { bytes, text } of closest(targetOf(key), membership.members(), K + 1)) {
      const wire = bytes === askerBytes ? undefined : addressBook.get(text)?.wire;
      if (wire !== undefined && closer.length < K) closer.push(wire);
    }
    return encodeAnswer({ type, key, closer, providers });
  }

  #refuse(reason: Refusal): void {
    this.#components.observer.onRefusal?.(reason);
  }
}

function isStoring({ type }: DhtMessage): boolean {
  return type === MESSAGE_TYPE.addProvider || type === MESSAGE_TYPE.ping;
}
