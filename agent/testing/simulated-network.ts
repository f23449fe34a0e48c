import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';

import { NEAR } from '../routing/discovery/connection-budget.ts';
import type { ProvidersAnswer, ProvidersQuestion } from '../routing/dht/dht-client.ts';
import { bucketOf, closest, distanceTo, K } from '../routing/dht/kademlia.ts';
import { targetOf, type RoutingKey } from '../routing/dht/key.ts';
import type { AddressedPeer } from '../routing/node/address-book.ts';
import { Contacts } from '../routing/node/contacts.ts';
import { dhtPeer, type DhtPeer } from '../routing/node/membership.ts';
import { Seeded } from './seeded.ts';

/** How many peers far from it each node of a test knows, beside its neighbours. */
const FAR_KNOWN = 30;
/** Networks of this process: each has nodes of its own. */
let opened = 0;

/** What a node of {@link SimulatedNetwork} knows of the others: the part of `Membership` that look-ups need. */
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
    for (const listener of this.#onChange) listener();
  }

  /** No node comes or goes in a simulated network, so that all have the records that they are to keep. */
  isEstablished(): boolean {
    return true;
  }

  isContact(): boolean {
    return true;
  }

  /** Its peers can be asked at once, as connected ones can. */
  isConnected(): boolean {
    return true;
  }

  /** Each has one of its own. */
  hostOf(): undefined {
    return undefined;
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
  /** Peer ID -> key -> the providers whose records the peer keeps. */
  readonly #records = new Map<string, Map<number, Set<DhtPeer>>>();

  readonly #farKnown: number;

  private constructor(peers: readonly DhtPeer[], farKnown: number) {
    this.peers = peers;
    this.#farKnown = farKnown;
  }

  /**
   * Opens a network of the same nodes in each run of a test file.
   *
   * @param farKnown peers beside its neighbours that each node knows
   */
  static async open(count: number, farKnown = FAR_KNOWN): Promise<SimulatedNetwork> {
    const random = new Seeded(`network ${String(++opened)}`);
    const ids = Array.from({ length: count }, async () =>
      dhtPeer(peerIdFromPrivateKey(await random.privateKey())),
    );
    return new SimulatedNetwork(await Promise.all(ids), farKnown);
  }

  /** The part of `DhtClient` that discovery and look-ups need. It answers as `DhtServer` does. */
  readonly client = {
    findNode: (peer: DhtPeer, key: Uint8Array): Promise<readonly AddressedPeer[]> => {
      this.asked += 1;
      if (this.dead.has(peer.text)) return Promise.reject(new Error('no answer'));
      return Promise.resolve(this.#closer(peer, targetOf(key)).map(addressed));
    },
    getProviders: (
      peer: DhtPeer,
      multihash: Uint8Array,
      { closerThan = Infinity, isKnown }: ProvidersQuestion,
    ): Promise<ProvidersAnswer> => {
      this.asked += 1;
      if (this.dead.has(peer.text)) return Promise.reject(new Error('no answer'));
      const target = targetOf(multihash);
      const providers = this.#records.get(peer.text)?.get(target) ?? [];
      const closer = this.#closer(peer, target)
        .filter((each) => distanceTo(target, each) < closerThan)
        .filter(({ bytes }) => !isKnown(bytes));
      return Promise.resolve({
        providers: [...providers].map(addressed),
        closer: closer.map(addressed),
      });
    },
  };

  /** Gives a record to a peer. */
  store(peer: DhtPeer, { target }: RoutingKey, provider: DhtPeer): void {
    const records = this.#records.get(peer.text) ?? new Map<number, Set<DhtPeer>>();
    this.#records.set(
      peer.text,
      records.set(target, (records.get(target) ?? new Set()).add(provider)),
    );
  }

  /** The peers that a node is connected with. */
  known(peer: DhtPeer): readonly DhtPeer[] {
    const known = this.#known.get(peer.text) ?? this.#learn(peer);
    this.#known.set(peer.text, known);
    return known;
  }

  #learn(peer: DhtPeer): readonly DhtPeer[] {
    const others = this.peers.filter((other) => other !== peer);
    const near = new Set(closest(peer.prefix, others, NEAR));
    const known = [...near];
    const far = others.filter((other) => !near.has(other));
    const buckets = Map.groupBy(new Seeded(peer.text).shuffled(far), (other) =>
      bucketOf(peer, other),
    );
    while (buckets.size > 0 && known.length < NEAR + this.#farKnown) {
      for (const [bucket, rest] of buckets) {
        const next = rest.pop();
        if (next === undefined) buckets.delete(bucket);
        else if (known.length < NEAR + this.#farKnown) known.push(next);
      }
    }
    return known;
  }

  #closer(peer: DhtPeer, target: number): readonly DhtPeer[] {
    const alive = this.known(peer).filter(({ text }) => !this.dead.has(text));
    return closest(target, alive, K);
  }

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
