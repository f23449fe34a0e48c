import { peerIdFromString } from '@libp2p/peer-id';
import type { Logger } from 'pino';

import { Deadline } from '../../timing/deadline.ts';
import { pause } from '../../timing/pause.ts';
import type { DhtClient, ProvidersAnswer } from '../dht/dht-client.ts';
import { closest, distanceTo, K } from '../dht/kademlia.ts';
import type { RoutingKey } from '../dht/key.ts';
import type { NetworkScale } from '../discovery/network-size.ts';
import type { AddressedPeer } from '../node/address-book.ts';
import { dhtPeer, type DhtPeer, type Membership } from '../node/membership.ts';
import { DecidingPeers } from './deciding-peers.ts';
import { firstWave, type FirstWave } from './first-wave.ts';

/** How long a single peer may take to answer. */
const DEFAULT_PEER_TIMEOUT_MS = 1000;
/** How long the query waits for unresponsive peers, when no other has answered. */
const UNRESPONSIVE_WAIT_MS = 250;
/** How long a query may take in all, however many peers name closer ones. */
const QUERY_TIMEOUT_MS = 5000;
/** Maximum number of peers asked in one query. */
const MAX_PEERS_ASKED = 3 * K;
/** After this time more peers are asked, to avoid the wait for the slowest. Most answer in 1 or 2 ms. */
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
 * answer, or when the providers they named were of no use. Whom it asks first, `firstWave` says.
 *
 * The peers that are asked first are those closest to the key that *this node knows*. So they are asked for
 * peers that are closer still, and those too. A miss needs the answers of the closest of all that were named, and each
 * of them says whether it has been here for long enough to have the records.
 */
export class ProviderQuery {
  readonly #components: ProviderQueryComponents;
  readonly #key: RoutingKey;
  readonly #deciding: DecidingPeers;
  readonly #peerTimeoutMs: number;
  readonly #asked = new Set<string>();
  readonly #candidates = new Map<string, DhtPeer>();
  #ranking: readonly DhtPeer[];
  /** Answers with providers, and without. */
  #hits = 0;
  #misses = 0;
  /** Peers that have answered without, and have all records that they are to keep. */
  readonly #certain = new Set<string>();
  #failures = 0;
  /** Peers that others have named and that are closer to the key than those asked first. */
  #closerNamed = 0;

  constructor(components: ProviderQueryComponents, key: RoutingKey, init: ProviderQueryInit = {}) {
    this.#components = components;
    this.#key = key;
    this.#deciding = new DecidingPeers(components);
    this.#peerTimeoutMs = init.peerTimeoutMs ?? DEFAULT_PEER_TIMEOUT_MS;
    this.#ranking = components.membership.members();
    for (const peer of this.#ranking) this.#candidates.set(peer.bytes, peer);
  }

  /** Asks those that are sure to have the record; whether there is certainly no provider. Never rejects. */
  async askFirst(onFound: OnFound, signal: AbortSignal): Promise<boolean> {
    const wave = firstWave(this.#components, this.#deciding, this.#key, this.#ranking);
    if (wave === undefined) return false;
    const { peers, spares } = wave;
    using deadline = new Deadline(QUERY_TIMEOUT_MS, signal);
    const pending = new Set<Promise<void>>();
    const closerThan = Math.max(...peers.map((peer) => distanceTo(this.#key.target, peer)));
    const ask = (peer: DhtPeer): void => {
      this.#track(pending, this.#ask(peer, closerThan, onFound, deadline.signal));
    };
    for (const peer of peers) ask(peer);
    const enough = new AbortController();
    const late = pause(SPARE_AFTER_MS, enough.signal);
    this.#track(pending, late);
    while (pending.size > 0 && !this.#isSettled(wave)) {
      await Promise.race(pending);
      if (this.#failures === 0 && pending.has(late)) continue;
      for (const spare of spares) if (!this.#asked.has(spare.text)) ask(spare);
    }
    enough.abort();
    if (this.#closerNamed === 0) return this.#hits === 0 && this.#isRefused(wave);
    if (this.#hits === 0) await this.#approach(onFound, deadline.signal);
    return this.#hits === 0 && this.#isRefusedByClosest();
  }

  /** Whether those asked first have answered, or their spares for them. */
  #isSettled(wave: FirstWave): boolean {
    if (this.#answers < wave.peers.length) return false;
    const isOther = this.#hits > 0 || this.#closerNamed > 0;
    return !this.#deciding.isLarge || isOther || this.#isRefused(wave);
  }

  /** Whether enough of those that are to keep the record have answered that they have all records and none of this key. */
  #isRefused({ nearest, quorum }: FirstWave): boolean {
    const certain = nearest.filter(({ text }) => this.#certain.has(text));
    return this.#deciding.areEnough(certain, quorum);
  }

  /** Whether the closest of all that are known have answered that they have all records and none of this key. */
  #isRefusedByClosest(): boolean {
    const nearest = this.#closestAlive();
    return (
      nearest.length >= this.#deciding.needed() &&
      nearest.every(({ text }) => this.#certain.has(text))
    );
  }

  /** The closest of all that are known and answer, whose answers decide. */
  #closestAlive(): readonly DhtPeer[] {
    const { membership } = this.#components;
    const alive = this.#ranking.filter(({ text }) => !membership.isUnresponsive(text));
    return this.#deciding.of(closest(this.#key.target, alive, K));
  }

  /** Asks the closest of those that were named, step by step, until one has the record or none names a closer one. */
  async #approach(onFound: OnFound, signal: AbortSignal): Promise<void> {
    for (let step = 0; step < MAX_STEPS && this.#hits === 0 && !signal.aborted; step++) {
      const nearest = this.#closestAlive();
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
    const { multihash } = this.#key;
    const timeoutMs = this.#peerTimeoutMs;
    this.#asked.add(peer.text);
    const isKnown = (bytes: string): boolean => bytes === self.bytes || this.#candidates.has(bytes);
    try {
      const question = { isKnown, ...(closerThan !== undefined && { closerThan }) };
      const answer = await client.getProviders(peer, multihash, question, timeoutMs, signal);
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
    const { membership } = this.#components;
    if (providers.length > 0) {
      this.#hits++;
      onFound(providers);
    } else {
      this.#misses++;
      if (established ?? membership.isEstablished(from.text)) this.#certain.add(from.text);
    }
    if (closer.length === 0) return;
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
