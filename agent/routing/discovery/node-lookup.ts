import type { Logger } from 'pino';

import type { DhtClient } from '../dht/dht-client.ts';
import { closest, K } from '../dht/kademlia.ts';
import { targetOf } from '../dht/key.ts';
import type { DhtPeer, Membership } from '../node/membership.ts';

/** Peers asked at a time; the alpha of Kademlia. */
const ALPHA = 3;
/** The look-up ends when so many of the closest peers that are known have answered. */
const SETTLED = 3;
/** Maximum number of peers asked in one look-up. */
const MAX_ASKED = 24;
/** The closest that are looked at: some of them do not answer. To look at all members would cost more than to ask some. */
const CANDIDATES = 3 * K;
/** How long one peer may take to answer, in milliseconds. Nodes that start together are busy. */
const PEER_TIMEOUT_MS = 3000;

export interface NodeLookupComponents {
  readonly client: Pick<DhtClient, 'findNode'>;
  readonly membership: Pick<
    Membership,
    'members' | 'learn' | 'markResponsive' | 'markUnresponsive' | 'isUnresponsive'
  >;
  readonly logger: Logger;
}

/**
 * Finds the peers closest to a key that the network knows, step by step: the closest known peers are asked for closer
 * ones, until the closest of all have answered (Kademlia, section 2.3 "node lookup"). Peers that are named become
 * contacts.
 */
export class NodeLookup {
  readonly #components: NodeLookupComponents;

  constructor(components: NodeLookupComponents) {
    this.#components = components;
  }

  /**
   * Never rejects: peers that fail are passed over.
   *
   * @param key any bytes; the target is their SHA2-256
   * @returns the peers closest to the key, closest first, at most {@link K}
   */
  async find(key: Uint8Array, signal: AbortSignal): Promise<readonly DhtPeer[]> {
    const { membership } = this.#components;
    const target = targetOf(key);
    const asked = new Set<string>();
    const failed = new Set<string>();
    const ask = async (peer: DhtPeer): Promise<void> => {
      asked.add(peer.text);
      if (!(await this.#ask(peer, key, signal))) failed.add(peer.text);
    };
    for (;;) {
      // Members are read anew each time: peers that were named are among them.
      const nearest = closest(target, membership.members(), CANDIDATES);
      const peers = nearest
        .filter(({ text }) => !failed.has(text) && !membership.isUnresponsive(text))
        .slice(0, K);
      const next = peers.slice(0, SETTLED).filter(({ text }) => !asked.has(text));
      if (next.length === 0 || signal.aborted || asked.size >= MAX_ASKED) return peers;
      await Promise.all(next.slice(0, ALPHA).map(ask));
    }
  }

  /** Learns of the peers that it names; whether it has answered. */
  async #ask(peer: DhtPeer, key: Uint8Array, signal: AbortSignal): Promise<boolean> {
    const { client, membership, logger } = this.#components;
    try {
      const closer = await client.findNode(peer, key, PEER_TIMEOUT_MS, signal);
      membership.markResponsive(peer);
      membership.learn(closer.slice(0, K), peer);
      return true;
    } catch (err) {
      if (signal.aborted) return false;
      membership.markUnresponsive(peer);
      logger.debug({ peerId: peer.text, err }, 'peer did not name closer peers');
      return false;
    }
  }
}
