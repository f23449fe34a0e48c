import { peerIdFromString } from '@libp2p/peer-id';
import type { Logger } from 'pino';

import { Deadline } from '../../timing/deadline.ts';
import { pause } from '../../timing/pause.ts';
import type { AddressedPeer } from '../node/address-book.ts';
import type { DhtClient, ProvidersAnswer } from '../dht/dht-client.ts';
import { closest, K } from '../dht/kademlia.ts';
import type { RoutingKey } from '../dht/key.ts';
import { dhtPeer } from '../node/membership.ts';
import type { DhtPeer, Membership } from '../node/membership.ts';

/** How long a single peer may take to answer. */
const DEFAULT_PEER_TIMEOUT_MS = 1000;
/** How long is waited for peers that did not answer lately, when there are no others to answer. */
const SUSPECT_WAIT_MS = 250;
/** How long a query may take in all, however many peers name closer ones. */
const QUERY_TIMEOUT_MS = 5000;
/** Peers asked in one query at most. */
const MAX_PEERS_ASKED = 3 * K;
/**
 * How many of those that keep the record, and have kept records for a while, have to say no for a no. A record is
 * placed with each of the 20 by itself, so all of these would have to have missed it.
 */
const QUORUM = 3;
/** After which time one more is asked, so that the slowest need not be waited for. Most answer in one or two. */
const SPARE_AFTER_MS = 5;

/** What a {@link ProviderQuery} works with. */
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
 * Asks peers who has one key. Everybody who holds it has placed its record with all of the 20 peers closest to
 * the key, so a few of them that have been there for a while know as much as all, and cost a tenth: they are
 * asked first, all at once, and one more when one of them is late or fails. This node counts as one of them when it is one: that it has no record of its own is
 * why anybody is asked. The others are asked when there are too few of those, when they do not answer, or when
 * what they named was of no use.
 */
export class ProviderQuery {
  readonly #components: ProviderQueryComponents;
  readonly #key: RoutingKey;
  readonly #peerTimeoutMs: number;
  readonly #asked = new Set<string>();
  readonly #candidates = new Map<string, DhtPeer>();
  #ranking: readonly DhtPeer[];
  #found = 0;
  #noes = 0;
  #failures = 0;

  constructor(components: ProviderQueryComponents, key: RoutingKey, init: ProviderQueryInit = {}) {
    this.#components = components;
    this.#key = key;
    this.#peerTimeoutMs = init.peerTimeoutMs ?? DEFAULT_PEER_TIMEOUT_MS;
    this.#ranking = components.membership.members();
    for (const peer of this.#ranking) this.#candidates.set(peer.bytes, peer);
  }

  /** Asks those that are sure to know; whether there is certainly no provider. Never rejects. */
  async askFirst(onFound: OnFound, signal: AbortSignal): Promise<boolean> {
    const { membership, self } = this.#components;
    const keepers = closest(this.#key.target, [...this.#ranking, self], K);
    // Those that have known us for so long have told us what we are to keep.
    const quorum = keepers.includes(self) ? QUORUM - 1 : QUORUM;
    const sure = keepers
      .filter((peer) => peer !== self)
      .filter(({ text }) => membership.isEstablished(text) && !membership.isUnresponsive(text))
      .slice(0, quorum + 1);
    const spare = sure[quorum];
    if (spare === undefined) return false;
    using deadline = new Deadline(QUERY_TIMEOUT_MS, signal);
    const pending = new Set<Promise<void>>();
    const ask = (peer: DhtPeer): void => {
      this.#track(pending, this.#ask(peer, true, onFound, deadline.signal));
    };
    for (const peer of sure.slice(0, quorum)) ask(peer);
    const enough = new AbortController();
    const late = pause(SPARE_AFTER_MS, enough.signal);
    this.#track(pending, late);
    while (pending.size > 0 && this.#noes + this.#found < quorum) {
      await Promise.race(pending);
      const isLate = this.#failures > 0 || !pending.has(late);
      if (isLate && !this.#asked.has(spare.text)) ask(spare);
    }
    enough.abort();
    return this.#noes >= quorum;
  }

  /**
   * Asks all others that should have the record, and closer ones that they name. Peers that did not answer
   * lately are asked too, but hardly waited for.
   *
   * @returns whether it is certain that there are no other providers: somebody has answered, and all that were
   *   waited for have. Never rejects.
   */
  async askOthers(onFound: OnFound, signal: AbortSignal): Promise<boolean> {
    using deadline = new Deadline(QUERY_TIMEOUT_MS, signal);
    const { membership } = this.#components;
    const pending = new Set<Promise<void>>();
    const suspects: Promise<void>[] = [];
    const askClosest = (): void => {
      for (const peer of closest(this.#key.target, this.#ranking, K)) {
        if (this.#asked.has(peer.text) || this.#asked.size >= MAX_PEERS_ASKED) continue;
        const suspect = membership.isUnresponsive(peer.text);
        const request = this.#ask(peer, false, onFound, deadline.signal);
        if (suspect) suspects.push(request);
        else this.#track(pending, request);
      }
    };
    askClosest();
    while (pending.size > 0 && !deadline.signal.aborted) {
      const ranking = this.#ranking;
      await Promise.race(pending);
      if (this.#ranking !== ranking) askClosest();
    }
    const answers = (): number => this.#noes + this.#found;
    if (answers() === 0 && suspects.length > 0) {
      const enough = new AbortController();
      await Promise.race([Promise.all(suspects), pause(SUSPECT_WAIT_MS, enough.signal)]);
      enough.abort();
    }
    return answers() > 0 && this.#failures === 0 && !deadline.signal.aborted;
  }

  #track(pending: Set<Promise<void>>, request: Promise<void>): void {
    pending.add(request);
    void request.finally(() => pending.delete(request));
  }

  /** Never rejects: a peer that fails has nothing to say. */
  async #ask(
    peer: DhtPeer,
    providersOnly: boolean,
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
        { providersOnly, isKnown },
        timeoutMs,
        signal,
      );
      membership.markResponsive(peer);
      this.#take(answer, onFound);
    } catch (err) {
      if (signal.aborted) return;
      if (!membership.isUnresponsive(peer.text)) this.#failures++;
      membership.markUnresponsive(peer);
      logger.debug({ peerId: peer.text, err }, 'peer did not answer a look-up');
    }
  }

  #take({ providers, closer }: ProvidersAnswer, onFound: OnFound): void {
    if (providers.length > 0) {
      this.#found++;
      onFound(providers);
    } else this.#noes++;
    for (const { peerId, multiaddrs } of closer) {
      if (multiaddrs.length === 0) continue;
      const peer = dhtPeer(peerIdFromString(peerId), multiaddrs);
      this.#candidates.set(peer.bytes, peer);
    }
    if (closer.length > 0) this.#ranking = [...this.#candidates.values()];
  }
}
