import type { Logger } from 'pino';
import pLimit from 'p-limit';

import type { SignedAnnouncement } from '../announce/announcement.ts';
import type { DhtClient } from '../dht/dht-client.ts';
import { K } from '../dht/kademlia.ts';
import { multihashOf } from '../dht/key.ts';
import type { AddressedPeer } from '../node/address-book.ts';
import type { DhtPeer, Membership } from '../node/membership.ts';

/** How long a peer may take for the records, in milliseconds. */
const TIMEOUT_MS = 10_000;
/** Peers that are sent records at a time. */
const CONCURRENCY = 8;
/** Peers that are sent the records of one announcement, at most. */
const MAX_PEERS = 3 * K;

export interface DirectRecordsComponents {
  readonly self: DhtPeer;
  readonly client: Pick<DhtClient, 'addProviders'>;
  readonly membership: Pick<
    Membership,
    'members' | 'learn' | 'isUnresponsive' | 'markUnresponsive'
  >;
  readonly logger: Logger;
}

/** Sends the records of an announcement by the DHT's own protocol, to peers that do not speak ours: Spegel's nodes. */
export class DirectRecords {
  readonly #components: DirectRecordsComponents;
  readonly #limit = pLimit(CONCURRENCY);

  constructor(components: DirectRecordsComponents) {
    this.#components = components;
  }

  /** How many of the peers have taken the records. Never rejects: one that fails is dropped. */
  async send(
    peers: readonly DhtPeer[],
    { provided }: Pick<SignedAnnouncement, 'provided'>,
    signal: AbortSignal,
  ): Promise<number> {
    const { self } = this.#components;
    const others = peers.filter(({ text }) => text !== self.text).slice(0, MAX_PEERS);
    if (provided.length === 0 || others.length === 0) return 0;
    const multihashes = provided.map(multihashOf);
    const sent = await Promise.all(
      others.map((peer) => this.#limit(() => this.#send(peer, multihashes, signal))),
    );
    return sent.filter(Boolean).length;
  }

  /**
   * The same for peers that a carrier has named. They become contacts as all others that are named, within the bounds
   * for those: a carrier cannot have this node dial what it likes again and again.
   */
  async sendNamed(
    strangers: readonly AddressedPeer[],
    carrier: DhtPeer,
    announcement: Pick<SignedAnnouncement, 'provided'>,
    signal: AbortSignal,
  ): Promise<number> {
    if (strangers.length === 0) return 0;
    const { membership } = this.#components;
    const named = strangers.slice(0, K);
    membership.learn(named, carrier);
    const wanted = new Set(named.map(({ peerId }) => peerId));
    const known = membership
      .members()
      .filter(({ text }) => wanted.has(text) && !membership.isUnresponsive(text));
    return this.send(known, announcement, signal);
  }

  async #send(
    peer: DhtPeer,
    multihashes: readonly Uint8Array[],
    signal: AbortSignal,
  ): Promise<boolean> {
    const { client, membership, logger } = this.#components;
    try {
      await client.addProviders(peer, multihashes, TIMEOUT_MS, signal);
      return true;
    } catch (err) {
      if (!signal.aborted) membership.markUnresponsive(peer);
      logger.debug({ peerId: peer.text, err }, 'a peer did not take records');
      return false;
    }
  }
}
