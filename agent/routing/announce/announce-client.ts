import pLimit from 'p-limit';
import type { LimitFunction } from 'p-limit';

import { Deadline } from '../../timing/deadline.ts';
import { readPeers } from '../dht/dht-client.ts';
import type { PeerDialer } from '../dht/peer-dialer.ts';
import type { FrameReader } from '../dht/frame-reader.ts';
import { frame, FrameError } from '../dht/frames.ts';
import { StreamPool } from '../dht/stream-pool.ts';
import type { AddressedPeer } from '../node/address-book.ts';
import type { DhtPeer } from '../node/membership.ts';
import {
  ANNOUNCE,
  ANNOUNCE_PROTOCOL,
  decodeAnnounce,
  encodeAnnounce,
  MAX_MESSAGE_BYTES,
} from './announce-messages.ts';
import type { AnnounceMessage, AnnounceParts } from './announce-messages.ts';
import type { Carried, Half } from './carrier.ts';
import type { HandedOver } from './held-announcements.ts';

/** Maximum number of announcements that one peer hands over: three times those of a network of 5,000. */
const MAX_HANDED_OVER = 20_000;

/** Announcements that are sent to one peer at a time for their providers, and that may wait for it. */
const PASSED_AT_ONCE = 2;
const MAX_WAITING = 64;

/** What a carrier says that became of an announcement; see `Carried`. */
export interface CarriedByPeer extends Omit<Carried, 'strangers'> {
  readonly strangers: readonly AddressedPeer[];
}

/** What became of an announcement that was sent to a peer for its provider. */
export interface Passed {
  readonly isTaken: boolean;
  readonly sequence: number;
}

/** Sends requests of the announce protocol to peers. Every call is bounded in time and in size. */
export class AnnounceClient {
  readonly #dialer: PeerDialer;
  readonly #streams = new StreamPool(MAX_MESSAGE_BYTES);
  /** The peers to which announcements are being sent for their providers. */
  readonly #passing = new Map<string, LimitFunction>();

  constructor(dialer: PeerDialer) {
    this.#dialer = dialer;
  }

  /**
   * Has a peer take an announcement of this node, and pass it on to one half of those near it.
   *
   * @throws Error when the peer cannot be dialled, does not speak the protocol or does not answer in time
   */
  async announce(
    peer: DhtPeer,
    { envelope, half }: { readonly envelope: Uint8Array; readonly half: Half },
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<CarriedByPeer> {
    const request = { type: ANNOUNCE.announce, envelope, half };
    const answer = await this.#request(peer, request, timeoutMs, signal);
    const { taken, strangers, sequence } = answer;
    return { taken, strangers: readPeers(strangers), sequence };
  }

  /**
   * Passes the announcement of another node on. A few go to one peer at a time.
   *
   * @returns whether the peer has taken it, and the later sequence of the provider if not
   * @throws Error as {@link announce}, and when too many wait for the peer
   */
  async pass(
    peer: DhtPeer,
    envelope: Uint8Array,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<Passed> {
    const limit = this.#passing.get(peer.text) ?? pLimit(PASSED_AT_ONCE);
    if (limit.pendingCount >= MAX_WAITING) throw new Error('too many announcements for this peer');
    this.#passing.set(peer.text, limit);
    try {
      const request = { type: ANNOUNCE.pass, envelope };
      const { taken, sequence } = await limit(() =>
        this.#request(peer, request, timeoutMs, signal),
      );
      return { isTaken: taken > 0, sequence };
    } finally {
      if (limit.activeCount + limit.pendingCount === 0) this.#passing.delete(peer.text);
    }
  }

  /**
   * Asks a peer for the announcements with a key within a distance of a point. Their signatures are not checked here.
   *
   * @param take called with each, as they come
   * @returns whether the peer has got all records that it is to keep itself
   * @throws Error as {@link announce}, and when there are too many
   */
  async pull(
    peer: DhtPeer,
    { point, distance }: { readonly point: number; readonly distance: number },
    take: (held: HandedOver) => Promise<void>,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<boolean> {
    const request = { type: ANNOUNCE.pull, point, distance };
    let count = 0;
    const { complete } = await this.#request(
      peer,
      request,
      timeoutMs,
      signal,
      async ({ envelope, ageMs }) => {
        if (++count > MAX_HANDED_OVER) throw new FrameError('too many announcements');
        await take({ envelope, ageMs });
      },
    );
    return complete === 1;
  }

  /** Aborts the idle streams. */
  stop(): void {
    this.#streams.stop();
  }

  async #request(
    peer: DhtPeer,
    request: AnnounceParts,
    timeoutMs: number,
    signal: AbortSignal,
    onHeld?: (message: AnnounceMessage) => Promise<void>,
  ): Promise<AnnounceMessage> {
    using deadline = new Deadline(timeoutMs, signal);
    return await this.#streams.use(
      peer.text,
      () => this.#dialer.open(peer, ANNOUNCE_PROTOCOL, deadline.signal),
      async ({ stream, reader }) => {
        stream.send(frame(encodeAnnounce(request)));
        for (;;) {
          const answer = await nextMessage(reader);
          if (answer.type === ANNOUNCE.done) return answer;
          if (answer.type !== ANNOUNCE.held || onHeld === undefined) {
            throw new FrameError('an answer that was not asked for');
          }
          await onHeld(answer);
        }
      },
      deadline.signal,
    );
  }
}

async function nextMessage(reader: FrameReader): Promise<AnnounceMessage> {
  const bytes = await reader.next();
  if (bytes === undefined) throw new FrameError('the peer ended the stream without an answer');
  return decodeAnnounce(bytes);
}
