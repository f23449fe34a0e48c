import type { Connection, Stream } from '@libp2p/interface';
import type { Logger } from 'pino';
import pLimit from 'p-limit';

import { Deadline } from '../../timing/deadline.ts';
import { ExpiringSet } from '../../timing/expiring-set.ts';
import { isAborted, pause } from '../../timing/pause.ts';
import type { FrameReader } from '../dht/frame-reader.ts';
import { frame, FrameError } from '../dht/frames.ts';
import { distanceTo } from '../dht/kademlia.ts';
import type { KeySpacePoint } from '../dht/kademlia.ts';
import type { RequestRateLimiter } from '../dht/request-rate-limiter.ts';
import { MESSAGE_MS, serveStream } from '../dht/served-stream.ts';
import type { AddressBook } from '../node/address-book.ts';
import type { RoutingNode } from '../node/libp2p-node.ts';
import {
  ANNOUNCE,
  ANNOUNCE_PROTOCOL,
  decodeAnnounce,
  encodeAnnounce,
  MAX_MESSAGE_BYTES,
} from './announce-messages.ts';
import type { AnnounceMessage } from './announce-messages.ts';
import { openAnnouncement } from './announcement.ts';
import type { Carrier } from './carrier.ts';
import type { HeldAnnouncements } from './held-announcements.ts';

const MAX_STREAMS_PER_CONNECTION = 32;
/** How often one peer is handed records over, in milliseconds. */
const PULL_PAUSE_MS = 20_000;
/** How long all records may take to one peer, in milliseconds: others wait. */
const HAND_OVER_MS = 20_000;
/** Maximum number of peers remembered as having asked. */
const MAX_PULLING = 10_000;
/** Peers that may wait for the one to which records are handed over. */
const MAX_WAITING = 16;
/**
 * Tokens that a request costs (see {@link RequestRateLimiter}): the check of a signature is the work of some 50
 * records, an announcement goes on to some 20 peers, and a node that joins is handed over thousands.
 */
const COST: Readonly<Record<number, number>> = {
  [ANNOUNCE.announce]: 1000,
  [ANNOUNCE.pass]: 100,
  [ANNOUNCE.pull]: 10_000,
};

export interface AnnounceServerComponents {
  readonly node: Pick<RoutingNode, 'handle' | 'unhandle'>;
  readonly held: HeldAnnouncements;
  readonly carrier: Pick<Carrier, 'carry'>;
  readonly addressBook: Pick<AddressBook, 'get'>;
  readonly rateLimiter: RequestRateLimiter;
  /** How far from this node the keys are that it may have records of, as a distance in the key space. */
  readonly range: () => number;
  /** Whether this node has got the records that it is to keep. */
  readonly isEstablished: () => boolean;
  readonly self: KeySpacePoint;
  readonly logger: Logger;
}

/**
 * Answers the requests of the announce protocol. What a peer says is believed only of itself: an announcement is
 * carried for the peer that has signed it and no other, so that it goes one step. It is stored when its signature is
 * right: it does not matter which peer has sent it.
 */
export class AnnounceServer {
  readonly #components: AnnounceServerComponents;
  readonly #stopped = new AbortController();
  readonly #handingOver = pLimit(1);
  readonly #pulled = new ExpiringSet(MAX_PULLING);

  constructor(components: AnnounceServerComponents) {
    this.#components = components;
  }

  /** Registers the protocol. Call it before the node starts, so that identify announces the protocol. */
  async start(): Promise<void> {
    await this.#components.node.handle(
      ANNOUNCE_PROTOCOL,
      (stream, connection) => this.#serve(stream, connection),
      { maxInboundStreams: MAX_STREAMS_PER_CONNECTION },
    );
  }

  /** Aborts all streams and unregisters the protocol. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#components.node.unhandle(ANNOUNCE_PROTOCOL);
  }

  async #serve(stream: Stream, { remotePeer }: Connection): Promise<void> {
    const { logger } = this.#components;
    const peerId = remotePeer.toString();
    const bounds = { maxBytes: MAX_MESSAGE_BYTES, stopped: this.#stopped.signal };
    try {
      await serveStream(stream, bounds, (reader) => this.#answerAll(stream, reader, peerId));
    } catch (err) {
      logger.debug({ peerId, err }, 'a stream of announcements failed');
    }
  }

  async #answerAll(stream: Stream, reader: FrameReader, peerId: string): Promise<void> {
    const { signal } = this.#stopped;
    for (;;) {
      const bytes = await reader.next();
      if (bytes === undefined || isAborted(signal)) return;
      const message = decodeAnnounce(bytes);
      const cost = COST[message.type];
      if (cost === undefined) throw new FrameError('a request that is not served');
      const wait = this.#components.rateLimiter.spend(peerId, cost);
      if (wait > 0) await pause(wait, signal);
      if (message.type === ANNOUNCE.pull) await this.#handOver(stream, message, peerId);
      await send(stream, await this.#handle(message, peerId));
    }
  }

  /** @throws {Error} for an announcement that is not signed by its provider */
  async #handle({ type, envelope, half }: AnnounceMessage, from: string): Promise<Uint8Array> {
    const { held, carrier, addressBook, isEstablished } = this.#components;
    if (type === ANNOUNCE.pull) {
      return encodeAnnounce({ type: ANNOUNCE.done, complete: isEstablished() ? 1 : 0 });
    }
    // A copy, because the bytes are a view on a larger buffer.
    const announcement = await openAnnouncement(Uint8Array.from(envelope));
    const provider = announcement.provider.toString();
    if (type === ANNOUNCE.announce && provider !== from) {
      throw new FrameError('an announcement of another node to pass on');
    }
    const taken = held.take(announcement, { from }) ? 1 : 0;
    const sequence = taken === 1 ? 0 : held.sequenceOf(provider);
    if (type === ANNOUNCE.pass) return encodeAnnounce({ type: ANNOUNCE.done, taken, sequence });
    const carried = await carrier.carry(announcement, half === 1 ? 1 : 0, this.#stopped.signal);
    return encodeAnnounce({
      type: ANNOUNCE.done,
      taken: taken + carried.taken,
      sequence: Math.max(sequence, carried.sequence),
      strangers: carried.strangers.flatMap(({ text }) => addressBook.get(text)?.wire ?? []),
    });
  }

  /** One peer after another, and only what is near this node: it has nothing else to hand over, but for strangers. */
  async #handOver(
    stream: Stream,
    { point, distance }: AnnounceMessage,
    peerId: string,
  ): Promise<void> {
    const { held, range, self } = this.#components;
    const isBusy = this.#handingOver.pendingCount >= MAX_WAITING;
    if (isBusy || this.#pulled.has(peerId)) throw new FrameError('records asked for too often');
    this.#pulled.add(peerId, PULL_PAUSE_MS);
    const max = range();
    if (distanceTo(point, self) > max) return;
    await this.#handingOver(async () => {
      using deadline = new Deadline(HAND_OVER_MS, this.#stopped.signal);
      for (const found of held.within(point, Math.min(distance, max))) {
        await send(stream, encodeAnnounce({ type: ANNOUNCE.held, ...found }), deadline.signal);
      }
    });
  }
}

/** Waits while the peer has much to read. */
async function send(
  stream: Stream,
  message: Uint8Array,
  signal = AbortSignal.timeout(MESSAGE_MS),
): Promise<void> {
  if (!stream.send(frame(message))) await stream.onDrain({ signal });
}
