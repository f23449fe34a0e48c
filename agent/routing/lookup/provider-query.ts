import { peerIdFromString } from '@libp2p/peer-id';
import type { Logger } from 'pino';

import { Deadline } from '../../timing/deadline.ts';
import { pause } from '../../timing/pause.ts';
import type { DhtClient, ProvidersAnswer } from '../dht/dht-client.ts';
import { closest, distanceTo, K } from '../dht/kademlia.ts';
import type { RoutingKey } from '../dht/key.ts';
import { halfOf, HALVES } from '../announce/carrier.ts';
import type { NetworkScale } from '../discovery/network-size.ts';
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
/** The same for each half of the peers, in a large network. */
const OF_EACH_HALF = 2;
/** After this time one more peer is asked, to avoid the wait for the slowest. Most answer in 1 or 2 ms. */
const SPARE_AFTER_MS = 5;
/** Steps towards the peers closest to the key, after those that this node knows; a network of 5,000 takes two. */
const MAX_STEPS = 4;

export interface ProviderQueryComponents {
  readonly self: DhtPeer;
  readonly client: Pick<DhtClient, 'getProviders'>;
  readonly membership: Membership;
  readonly scale: Pick<NetworkScale, 'isLarge'>;
  /** Whether this node has got the records that it is to keep. */
  readonly isEstablished: () => boolean;
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
 * peers that are closer still, and those too. A miss needs the answers of the closest of all that were named, and each
 * of them says whether it has been here for long enough to have the records.
 */
export class ProviderQuery {
  readonly #components: ProviderQueryComponents;
  readonly #key: RoutingKey;
  readonly #isLarge: boolean;
  readonly #peerTimeoutMs: number;
  readonly #asked = new Set<string>();
  readonly #candidates = new Map<string, DhtPeer>();
  #ranking: readonly DhtPeer[];
  /** Answers with providers. */
  #hits = 0;
  /** Answers without. */
  #misses = 0;
  /** Peers that have answered without, and have all records that they are to keep. */
  readonly #certain = new Map<string, DhtPeer>();
  #failures = 0;
  /** Peers that others have named and that are closer to the key than those asked first. */
  #closerNamed = 0;

  constructor(components: ProviderQueryComponents, key: RoutingKey, init: ProviderQueryInit = {}) {
    this.#components = components;
    this.#key = key;
    this.#isLarge = components.scale.isLarge;
    this.#peerTimeoutMs = init.peerTimeoutMs ?? DEFAULT_PEER_TIMEOUT_MS;
    this.#ranking = components.membership.members();
    for (const peer of this.#ranking) this.#candidates.set(peer.bytes, peer);
  }

  /** Asks those that are sure to have the record; whether there is certainly no provider. Never rejects. */
  async askFirst(onFound: OnFound, signal: AbortSignal): Promise<boolean> {
    const { membership, self, isEstablished } = this.#components;
    const nearest = closest(this.#key.target, [...this.#ranking, self], K);
    // Providers that have known this node for so long have sent it their records.
    const countsSelf = nearest.includes(self) && !this.#isLarge && isEstablished();
    const quorum = countsSelf ? QUORUM - 1 : QUORUM;
    // Of a contact its answer says whether it has the records.
    const responsible = nearest
      .filter((peer) => peer !== self)
      .filter(({ text }) => membership.isEstablished(text) || membership.isContact(text))
      .filter(({ text }) => !membership.isUnresponsive(text));
    const first = this.#deciding(responsible, quorum);
    const rest = responsible.filter((peer) => !first.includes(peer));
    const spares = this.#isLarge ? this.#ofEachHalf(rest, 1) : rest.slice(0, 1);
    if (spares.length === 0 || first.length < this.#needed(quorum)) return false;
    using deadline = new Deadline(QUERY_TIMEOUT_MS, signal);
    const pending = new Set<Promise<void>>();
    const closerThan = Math.max(...first.map((peer) => distanceTo(this.#key.target, peer)));
    const ask = (peer: DhtPeer): void => {
      this.#track(pending, this.#ask(peer, closerThan, onFound, deadline.signal));
    };
    for (const peer of first) ask(peer);
    const enough = new AbortController();
    const late = pause(SPARE_AFTER_MS, enough.signal);
    this.#track(pending, late);
    while (pending.size > 0 && !this.#isSettled(first.length, quorum)) {
      await Promise.race(pending);
      if (this.#failures === 0 && pending.has(late)) continue;
      for (const spare of spares) if (!this.#asked.has(spare.text)) ask(spare);
    }
    enough.abort();
    if (this.#closerNamed === 0) return this.#hits === 0 && this.#isRefused(quorum);
    if (this.#hits === 0) await this.#approach(onFound, deadline.signal);
    return this.#hits === 0 && this.#isRefusedByClosest();
  }

  /** Whether those asked first have answered, or their spares for them. */
  #isSettled(count: number, quorum: number): boolean {
    if (this.#answers < count) return false;
    const isOther = this.#hits > 0 || this.#closerNamed > 0;
    return !this.#isLarge || isOther || this.#isRefused(quorum);
  }

  /** Whether enough peers have answered that they have all records and none of this key. */
  #isRefused(quorum: number): boolean {
    const certain = [...this.#certain.values()];
    if (!this.#isLarge) return certain.length >= quorum;
    return this.#ofEachHalf(certain, OF_EACH_HALF).length >= this.#needed(quorum);
  }

  /** Whether the closest of all that are known have answered that they have all records and none of this key. */
  #isRefusedByClosest(): boolean {
    const { membership } = this.#components;
    const alive = this.#ranking.filter(({ text }) => !membership.isUnresponsive(text));
    const nearest = this.#deciding(closest(this.#key.target, alive, K), QUORUM);
    return (
      nearest.length >= this.#needed(QUORUM) && nearest.every(({ text }) => this.#certain.has(text))
    );
  }

  /**
   * Those of the closest peers whose answers decide on a miss. In a large network a record came to each half of the
   * peers by another carrier, so two of each half.
   */
  #deciding(nearest: readonly DhtPeer[], quorum: number): readonly DhtPeer[] {
    const apart = this.#oneOfHostFirst(nearest);
    return this.#isLarge ? this.#ofEachHalf(apart, OF_EACH_HALF) : apart.slice(0, quorum);
  }

  /** The same peers, the first of each host before the others: the identities of one host do not decide alone. */
  #oneOfHostFirst(nearest: readonly DhtPeer[]): readonly DhtPeer[] {
    const { membership } = this.#components;
    const hosts = new Set<string>();
    const others: DhtPeer[] = [];
    const first = nearest.filter((peer) => {
      const host = membership.hostOf(peer);
      if (host === undefined || !hosts.has(host)) {
        if (host !== undefined) hosts.add(host);
        return true;
      }
      others.push(peer);
      return false;
    });
    return [...first, ...others];
  }

  /** How many peers decide. */
  #needed(quorum: number): number {
    return this.#isLarge ? HALVES.length * OF_EACH_HALF : quorum;
  }

  #ofEachHalf(nearest: readonly DhtPeer[], count: number): readonly DhtPeer[] {
    return HALVES.flatMap((half) =>
      nearest.filter((peer) => halfOf(peer) === half).slice(0, count),
    );
  }

  /** Asks the closest of those that were named, step by step, until one has the record or none names a closer one. */
  async #approach(onFound: OnFound, signal: AbortSignal): Promise<void> {
    const { membership } = this.#components;
    for (let step = 0; step < MAX_STEPS && this.#hits === 0 && !signal.aborted; step++) {
      const alive = this.#ranking.filter(({ text }) => !membership.isUnresponsive(text));
      const nearest = this.#deciding(closest(this.#key.target, alive, K), QUORUM);
      const next = nearest.filter(({ text }) => !this.#asked.has(text));
      if (next.length === 0) return;
      const closerThan = Math.max(...nearest.map((peer) => distanceTo(this.#key.target, peer)));
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
    { providers, closer, established }: ProvidersAnswer,
    from: DhtPeer,
    closerThan: number,
    onFound: OnFound,
  ): void {
    if (providers.length > 0) {
      this.#hits++;
      onFound(providers);
    } else {
      this.#misses++;
      const { membership } = this.#components;
      if (established ?? membership.isEstablished(from.text)) this.#certain.set(from.text, from);
    }
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
