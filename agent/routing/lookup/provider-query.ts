import { peerIdFromString } from '@libp2p/peer-id';
import type { Logger } from 'pino';

import { Deadline } from '../../timing/deadline.ts';
import { pause } from '../../timing/pause.ts';
import type { DhtClient, ProvidersAnswer } from '../dht/dht-client.ts';
import { closest, distanceTo, K } from '../dht/kademlia.ts';
import type { RoutingKey } from '../dht/key.ts';
import type { AddressedPeer } from '../node/address-book.ts';
import { dhtPeer } from '../node/membership.ts';
import type { DhtPeer, Membership } from '../node/membership.ts';

/** How long a single peer may take to answer. */
const DEFAULT_PEER_TIMEOUT_MS = 1000;
/** How long the query waits for unresponsive peers, when no other has answered. */
const UNRESPONSIVE_WAIT_MS = 250;
/** How long a query may take in all, however many peers name closer ones. */
const QUERY_TIMEOUT_MS = 5000;
/** Maximum number of peers asked in one query. */
const MAX_PEERS_ASKED = 3 * K;
/**
 * How many established peers among the {@link K} closest must answer that they have no record, for a miss. A provider
 * sends its record to each of the 20 separately, so each of these would have to have missed it.
 */
const QUORUM = 3;
/** After this time one more peer is asked, to avoid the wait for the slowest. Most answer in 1 or 2 ms. */
const SPARE_AFTER_MS = 5;
/** Steps towards the peers closest to the key, after those that this node knows; a network of 5,000 takes two. */
const MAX_STEPS = 4;

export interface ProviderQueryComponents {
  readonly self: DhtPeer;
  readonly client: Pick<DhtClient, 'getProviders'>;
  readonly membership: Membership;
  readonly logger: Logger;
}

/** Options of a {@link ProviderQuery}. */
export interface ProviderQueryInit {
  /** Milliseconds; default {@link DEFAULT_PEER_TIMEOUT_MS}. */
  readonly peerTimeoutMs?: number;
}

/** Takes the providers that a peer has named. */
export type OnFound = (peers: readonly AddressedPeer[]) => void;

/**
 * Asks peers for the providers of one key.
 *
 * Each provider has sent its record to all of the 20 peers closest to the key. A few of these that have been members
 * for a while know as much as all of them, at a tenth of the cost. So they are asked first, all at once, and one
 * more when one of them is late or fails. When this node is among the 20 closest it counts as one of them: the query
 * begins only when it has no record of use. The other peers are asked when there are too few of those, when they do not
 * answer, or when the providers they named were of no use.
 *
 * The peers that are asked first are those closest to the key that *this node knows*. So they are asked for
 * peers that are closer still. Their answers make a miss only when none of them names one.
 */
export class ProviderQuery {
  readonly #components: ProviderQueryComponents;
  readonly #key: RoutingKey;
  readonly #peerTimeoutMs: number;
  readonly #asked = new Set<string>();
  readonly #candidates = new Map<string, DhtPeer>();
  #ranking: readonly DhtPeer[];
  /** Answers with providers. */
  #hits = 0;
  /** Answers without. */
  #misses = 0;
  #failures = 0;
  /** Peers that others have named and that are closer to the key than those asked first. */
  #closerNamed = 0;

  constructor(components: ProviderQueryComponents, key: RoutingKey, init: ProviderQueryInit = {}) {
    this.#components = components;
    this.#key = key;
    this.#peerTimeoutMs = init.peerTimeoutMs ?? DEFAULT_PEER_TIMEOUT_MS;
    this.#ranking = components.membership.members();
    for (const peer of this.#ranking) this.#candidates.set(peer.bytes, peer);
  }

  /** Asks those that are sure to have the record; whether there is certainly no provider. Never rejects. */
  async askFirst(onFound: OnFound, signal: AbortSignal): Promise<boolean> {
    const { membership, self } = this.#components;
    const nearest = closest(this.#key.target, [...this.#ranking, self], K);
    // Providers that have known this node for so long have sent it their records.
    const quorum = nearest.includes(self) ? QUORUM - 1 : QUORUM;
    const established = nearest
      .filter((peer) => peer !== self)
      .filter(({ text }) => membership.isEstablished(text) && !membership.isUnresponsive(text))
      .slice(0, quorum + 1);
    const spare = established[quorum];
    if (spare === undefined) return false;
    using deadline = new Deadline(QUERY_TIMEOUT_MS, signal);
    const pending = new Set<Promise<void>>();
    const first = established.slice(0, quorum);
    const closerThan = distanceTo(this.#key.target, first.at(-1) ?? spare);
    const ask = (peer: DhtPeer): void => {
      this.#track(pending, this.#ask(peer, closerThan, onFound, deadline.signal));
    };
    for (const peer of first) ask(peer);
    const enough = new AbortController();
    const late = pause(SPARE_AFTER_MS, enough.signal);
    this.#track(pending, late);
    while (pending.size > 0 && this.#answers < quorum) {
      await Promise.race(pending);
      const isLate = this.#failures > 0 || !pending.has(late);
      if (isLate && !this.#asked.has(spare.text)) ask(spare);
    }
    enough.abort();
    if (this.#closerNamed === 0) return this.#misses >= quorum;
    if (this.#hits === 0) await this.#approach(onFound, deadline.signal);
    // Those that were named may have joined a moment ago, without the records that they are to keep.
    return false;
  }

  /** Asks the closest of those that were named, step by step, until one has the record or none names a closer one. */
  async #approach(onFound: OnFound, signal: AbortSignal): Promise<void> {
    for (let step = 0; step < MAX_STEPS && this.#hits === 0 && !signal.aborted; step++) {
      const nearest = closest(this.#key.target, this.#ranking, QUORUM);
      const next = nearest.filter(({ text }) => !this.#asked.has(text));
      const farthest = nearest.at(-1);
      if (farthest === undefined || next.length === 0) return;
      const closerThan = distanceTo(this.#key.target, farthest);
      await Promise.all(next.map((peer) => this.#ask(peer, closerThan, onFound, signal)));
    }
  }

  /**
   * Asks all others that should have the record, and closer ones that they name. Unresponsive peers are asked too, but
   * the query hardly waits for them.
   *
   * @returns whether it is certain that there are no other providers: a peer has answered, and so have all that the
   *   query waits for. Never rejects.
   */
  async askOthers(onFound: OnFound, signal: AbortSignal): Promise<boolean> {
    using deadline = new Deadline(QUERY_TIMEOUT_MS, signal);
    const { membership } = this.#components;
    const pending = new Set<Promise<void>>();
    const unresponsive: Promise<void>[] = [];
    const askClosest = (): void => {
      for (const peer of closest(this.#key.target, this.#ranking, K)) {
        if (this.#asked.has(peer.text) || this.#asked.size >= MAX_PEERS_ASKED) continue;
        const isUnresponsive = membership.isUnresponsive(peer.text);
        const request = this.#ask(peer, undefined, onFound, deadline.signal);
        if (isUnresponsive) unresponsive.push(request);
        else this.#track(pending, request);
      }
    };
    askClosest();
    while (pending.size > 0 && !deadline.signal.aborted) {
      const ranking = this.#ranking;
      await Promise.race(pending);
      if (this.#ranking !== ranking) askClosest();
    }
    if (this.#answers === 0 && unresponsive.length > 0) {
      const enough = new AbortController();
      await Promise.race([Promise.all(unresponsive), pause(UNRESPONSIVE_WAIT_MS, enough.signal)]);
      enough.abort();
    }
    return this.#answers > 0 && this.#failures === 0 && !deadline.signal.aborted;
  }

  get #answers(): number {
    return this.#hits + this.#misses;
  }

  #track(pending: Set<Promise<void>>, request: Promise<void>): void {
    pending.add(request);
    void request.finally(() => pending.delete(request));
  }

  /** Never rejects: a peer that fails counts as one that names no provider. */
  async #ask(
    peer: DhtPeer,
    closerThan: number | undefined,
    onFound: OnFound,
    signal: AbortSignal,
  ): Promise<void> {
    const { client, membership, self, logger } = this.#components;
    this.#asked.add(peer.text);
    const isKnown = (bytes: string): boolean => bytes === self.bytes || this.#candidates.has(bytes);
    try {
      const timeoutMs = this.#peerTimeoutMs;
      const { multihash } = this.#key;
      const answer = await client.getProviders(
        peer,
        multihash,
        { isKnown, ...(closerThan !== undefined && { closerThan }) },
        timeoutMs,
        signal,
      );
      membership.markResponsive(peer);
      this.#take(answer, peer, closerThan ?? 0, onFound);
    } catch (err) {
      if (signal.aborted) return;
      if (!membership.isUnresponsive(peer.text)) this.#failures++;
      membership.markUnresponsive(peer);
      logger.debug({ peerId: peer.text, err }, 'peer did not answer a look-up');
    }
  }

  #take(
    { providers, closer }: ProvidersAnswer,
    from: DhtPeer,
    closerThan: number,
    onFound: OnFound,
  ): void {
    if (providers.length > 0) {
      this.#hits++;
      onFound(providers);
    } else this.#misses++;
    if (closer.length === 0) return;
    const { membership } = this.#components;
    // More than an honest peer names would fill the memory for contacts.
    const named = closer.slice(0, K);
    membership.learn(named, from);
    for (const { peerId, multiaddrs } of named) {
      // A peer that has gone is named until the others notice it, too.
      if (multiaddrs.length === 0 || membership.isUnresponsive(peerId)) continue;
      const peer = dhtPeer(peerIdFromString(peerId), multiaddrs);
      if (distanceTo(this.#key.target, peer) < closerThan) this.#closerNamed += 1;
      this.#candidates.set(peer.bytes, peer);
    }
    this.#ranking = [...this.#candidates.values()];
  }
}
