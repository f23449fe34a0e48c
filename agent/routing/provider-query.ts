import { peerIdFromString } from '@libp2p/peer-id';
import type { Logger } from 'pino';

import { Deadline } from '../timing/deadline.ts';
import { pause } from '../timing/pause.ts';
import type { AddressedPeer } from './address-book.ts';
import type { DhtClient, ProvidersAnswer } from './dht-client.ts';
import { closest, REPLICATION } from './kademlia.ts';
import type { RoutingKey } from './key.ts';
import { dhtPeer } from './membership.ts';
import type { DhtPeer, Membership } from './membership.ts';

/** How long a single peer may take to answer. */
const DEFAULT_PEER_TIMEOUT_MS = 1000;
/** How long is waited for peers that did not answer lately, when there are no others to answer. */
const SUSPECT_WAIT_MS = 250;
/** How long a query may take in all, however many peers name closer ones. */
const QUERY_TIMEOUT_MS = 5000;
/** Peers asked in one query at most. */
const MAX_PEERS_ASKED = 3 * REPLICATION;

/** What {@link ProviderQuery} works with. */
export interface ProviderQueryComponents {
  /** Of this node, see `DhtPeer`. */
  readonly ownBytes: string;
  readonly client: DhtClient;
  readonly membership: Membership;
  readonly logger: Logger;
}

/** Options of {@link ProviderQuery}. */
export interface ProviderQueryInit {
  /** Milliseconds; default {@link DEFAULT_PEER_TIMEOUT_MS}. */
  readonly peerTimeoutMs?: number;
}

/**
 * Asks all the peers that should have a record at once, by the membership known here, and closer ones that
 * they name. A hit takes one round trip, and a miss is certain after the slowest of them; peers that did not
 * answer lately are asked too, but hardly waited for.
 */
export class ProviderQuery {
  readonly #components: ProviderQueryComponents;
  readonly #peerTimeoutMs: number;

  constructor(components: ProviderQueryComponents, init: ProviderQueryInit = {}) {
    this.#components = components;
    this.#peerTimeoutMs = init.peerTimeoutMs ?? DEFAULT_PEER_TIMEOUT_MS;
  }

  /**
   * Hands over what each peer names as it answers. Resolves when there is nobody left to ask, with whether
   * somebody has answered and all that were waited for have; never rejects.
   */
  async run(
    key: RoutingKey,
    found: (peers: readonly AddressedPeer[]) => void,
    signal: AbortSignal,
  ): Promise<boolean> {
    using deadline = new Deadline(QUERY_TIMEOUT_MS, signal);
    const { membership, ownBytes } = this.#components;
    const candidates = new Map<string, DhtPeer>();
    const asked = new Set<string>();
    const pending = new Set<Promise<void>>();
    const suspects: Promise<void>[] = [];
    let answers = 0;
    let failures = 0;
    for (const peer of membership.members()) candidates.set(peer.bytes, peer);
    let ranking: readonly DhtPeer[] = membership.members();

    const isKnown = (bytes: string): boolean => bytes === ownBytes || candidates.has(bytes);
    const onAnswer = (answer: ProvidersAnswer): void => {
      answers++;
      if (answer.providers.length > 0) found(answer.providers);
      for (const { peerId, multiaddrs } of answer.closer) {
        if (multiaddrs.length === 0) continue;
        const peer = dhtPeer(peerIdFromString(peerId), multiaddrs);
        candidates.set(peer.bytes, peer);
      }
      if (answer.closer.length > 0) ranking = [...candidates.values()];
    };
    const askClosest = (): void => {
      for (const peer of closest(key.target, ranking, REPLICATION)) {
        if (asked.has(peer.text) || asked.size >= MAX_PEERS_ASKED) continue;
        asked.add(peer.text);
        const suspect = membership.isSuspect(peer.text);
        const request = this.#ask(peer, key, isKnown, deadline.signal).then((answer) => {
          if (answer !== undefined) onAnswer(answer);
          else if (!suspect) failures++;
        });
        if (suspect) {
          suspects.push(request);
          continue;
        }
        pending.add(request);
        void request.finally(() => pending.delete(request));
      }
    };
    askClosest();
    while (pending.size > 0 && !deadline.signal.aborted) {
      const before = ranking;
      await Promise.race(pending);
      if (ranking !== before) askClosest();
    }
    if (answers === 0 && suspects.length > 0) {
      const enough = new AbortController();
      await Promise.race([Promise.all(suspects), pause(SUSPECT_WAIT_MS, enough.signal)]);
      enough.abort();
    }
    return answers > 0 && failures === 0 && !deadline.signal.aborted;
  }

  /** Never rejects: a peer that fails has nothing to say. */
  async #ask(
    peer: DhtPeer,
    key: RoutingKey,
    isKnown: (bytes: string) => boolean,
    signal: AbortSignal,
  ): Promise<ProvidersAnswer | undefined> {
    const { client, membership, logger } = this.#components;
    try {
      const timeoutMs = this.#peerTimeoutMs;
      const answer = await client.getProviders(peer, key.multihash, isKnown, timeoutMs, signal);
      membership.trust(peer);
      return answer;
    } catch (err) {
      if (signal.aborted) return undefined;
      membership.suspect(peer);
      logger.debug({ peerId: peer.text, err }, 'peer did not answer a look-up');
      return undefined;
    }
  }
}
