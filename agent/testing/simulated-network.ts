import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';

import { NEIGHBOURS } from '../routing/discovery/connector.ts';
import { closest, K } from '../routing/dht/kademlia.ts';
import { targetOf } from '../routing/dht/key.ts';
import type { AddressedPeer } from '../routing/node/address-book.ts';
import { Contacts } from '../routing/node/contacts.ts';
import { dhtPeer, type DhtPeer } from '../routing/node/membership.ts';

/** How many peers far from it each node knows, beside its neighbours. */
const FAR_KNOWN = 30;

/** What a node of {@link SimulatedNetwork} knows of the others: the part of `Membership` that discovery needs. */
export class SimulatedMembership {
  readonly #contacts = new Contacts();
  readonly #unresponsive = new Set<string>();
  readonly #onChange: (() => void)[] = [];

  constructor(known: readonly DhtPeer[]) {
    this.learn(known.map(addressed));
  }

  members(): readonly DhtPeer[] {
    return this.#contacts.peers();
  }

  learn(peers: readonly AddressedPeer[]): number {
    const added = this.#contacts.add(peers);
    if (added > 0) for (const listener of this.#onChange) listener();
    return added;
  }

  markResponsive({ text }: DhtPeer): void {
    this.#unresponsive.delete(text);
  }

  markUnresponsive({ text }: DhtPeer): void {
    this.#unresponsive.add(text);
    this.#contacts.drop(text);
  }

  isUnresponsive(peerId: string): boolean {
    return this.#unresponsive.has(peerId);
  }

  onChange(listener: () => void): void {
    this.#onChange.push(listener);
  }
}

/**
 * For tests: nodes that know their neighbours in the key space and some others, and that answer FIND_NODE from that. The
 * real code of discovery runs against it, without sockets.
 */
export class SimulatedNetwork {
  readonly peers: readonly DhtPeer[];
  /** Questions that were asked. */
  asked = 0;
  readonly dead = new Set<string>();
  readonly #known = new Map<string, readonly DhtPeer[]>();

  private constructor(peers: readonly DhtPeer[]) {
    this.peers = peers;
    for (const peer of peers) {
      const others = peers.filter((other) => other !== peer);
      const far = Array.from({ length: Math.min(FAR_KNOWN, others.length) }, () => {
        return others[Math.floor(Math.random() * others.length)] ?? peer;
      });
      this.#known.set(peer.text, [
        ...new Set([...closest(peer.prefix, others, NEIGHBOURS), ...far]),
      ]);
    }
  }

  static async open(count: number): Promise<SimulatedNetwork> {
    const ids = Array.from({ length: count }, async () =>
      dhtPeer(peerIdFromPrivateKey(await generateKeyPair('Ed25519'))),
    );
    return new SimulatedNetwork(await Promise.all(ids));
  }

  /** The part of `DhtClient` that discovery needs. */
  readonly client = {
    findNode: (peer: DhtPeer, key: Uint8Array): Promise<readonly AddressedPeer[]> => {
      this.asked += 1;
      if (this.dead.has(peer.text)) return Promise.reject(new Error('no answer'));
      const known = this.#known.get(peer.text) ?? [];
      const alive = known.filter(({ text }) => !this.dead.has(text));
      return Promise.resolve(closest(targetOf(key), alive, K).map(addressed));
    },
  };

  /** The peers closest to a point of all that are alive. */
  closestTo(target: number): readonly DhtPeer[] {
    return closest(
      target,
      this.peers.filter(({ text }) => !this.dead.has(text)),
      K,
    );
  }
}

function addressed({ text }: DhtPeer): AddressedPeer {
  return { peerId: text, multiaddrs: [multiaddr('/ip4/10.0.0.7/tcp/5001')] };
}
