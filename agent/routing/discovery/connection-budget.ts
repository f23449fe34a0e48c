import type { Connection } from '@libp2p/interface';

import { closest, distanceTo, FARTHEST, isAmongClosest } from '../dht/kademlia.ts';
import { dhtPeer } from '../node/membership.ts';
import type { DhtPeer, Membership } from '../node/membership.ts';
import { ConnectionBuckets } from './connection-buckets.ts';
import type { NetworkScale } from './network-size.ts';

/** Members closest to this node that it is always connected with. They know the 20 closest of any key near this node. */
export const NEIGHBOURS = 32;
/**
 * Members closest to this node that it is connected with before others, and keeps before others. In a large network it is
 * always connected with them: they carry announcements to each other.
 */
export const NEAR = 64;
/**
 * Parts of the maximum: above it some connections are ended until so many are left, and with fewer than that others are
 * made. In between nothing is done, so that two nodes do not end and make the same connection again and again.
 */
const LEFT = 0.9;
const TOO_FEW = 0.8;
/** Connections that are younger than this are not ended, in milliseconds: most of them were made for a question. */
const MIN_AGE_MS = 60_000;
/** With so many times the maximum, as when many nodes start at once, younger ones are ended too. */
const FAR_TOO_MANY = 4 / 3;
const MIN_AGE_THEN_MS = 10_000;
/** A peer that has so many times the neighbours closer than this node, by the size of the network, is none for sure. */
const MARGIN = 2;

/** Components of {@link ConnectionBudget}. */
export interface ConnectionBudgetComponents {
  readonly self: DhtPeer;
  readonly membership: Pick<Membership, 'members' | 'isConnected'>;
  readonly scale: Pick<NetworkScale, 'isLarge' | 'size'>;
}

type Candidate = DhtPeer & { readonly connection: Connection };

/**
 * How many connections a node has, and which of them end when there are too many. Connections that others have made count, too.
 * Never one ends with a neighbour of this node, or with a node whose neighbour this one is: that node would make it again at once.
 * The others are made again when there is a question to ask.
 */
export class ConnectionBudget {
  readonly #components: ConnectionBudgetComponents;
  readonly #maxConnections: number;

  constructor(components: ConnectionBudgetComponents, maxConnections: number) {
    this.#components = components;
    this.#maxConnections = maxConnections;
  }

  /** Whether others may be made that are not with neighbours. */
  hasRoom(count: number): boolean {
    return count < this.#maxConnections * TOO_FEW;
  }

  isExceeded(count: number): boolean {
    return count > this.#maxConnections;
  }

  /** Members that this node is always connected with. */
  neighbours(): readonly DhtPeer[] {
    const { self, membership } = this.#components;
    return closest(self.prefix, membership.members(), this.#neighbourCount());
  }

  /** The buckets of the members that this node is connected with. */
  buckets(): ConnectionBuckets {
    const { self, membership } = this.#components;
    const connected = membership.members().filter(({ text }) => membership.isConnected(text));
    return new ConnectionBuckets(self, connected);
  }

  /**
   * The connections that are to be ended; none unless the budget is exceeded. Those that this node has made go first: the
   * dialler of the others may have few. Of both the oldest of the fullest bucket go first.
   */
  excess(connections: readonly Connection[]): Connection[] {
    if (!this.isExceeded(connections.length)) return [];
    const tooMany = connections.length - Math.floor(this.#maxConnections * LEFT);
    const isFarTooMany = connections.length > this.#maxConnections * FAR_TOO_MANY;
    const minAge = isFarTooMany ? MIN_AGE_THEN_MS : MIN_AGE_MS;
    const { self, membership } = this.#components;
    const near = new Set(closest(self.prefix, membership.members(), NEAR).map(({ text }) => text));
    const kept = new Set(this.neighbours().map(({ text }) => text));
    const endable = connections
      .filter(({ timeline }) => Date.now() - timeline.open > minAge)
      .sort((a, b) => a.timeline.open - b.timeline.open)
      .map((connection) => ({ connection, ...dhtPeer(connection.remotePeer) }))
      .filter((peer) => !kept.has(peer.text) && !this.#isNeighbourOf(peer));
    const [far, last] = [
      (peer: Candidate) => !near.has(peer.text),
      (peer: Candidate) => near.has(peer.text),
    ];
    const [ours, theirs] = [
      endable.filter(({ connection }) => connection.direction === 'outbound'),
      endable.filter(({ connection }) => connection.direction !== 'outbound'),
    ];
    const buckets = this.buckets();
    const ended: Candidate[] = [];
    for (const candidates of [ours.filter(far), theirs.filter(far)]) {
      ended.push(...buckets.richest(candidates, tooMany - ended.length));
    }
    ended.push(...ours.filter(last), ...theirs.filter(last));
    return ended.slice(0, tooMany).map(({ connection }) => connection);
  }

  /** Whether this node may be one of those closest to the peer, so that the peer would make the connection again. */
  #isNeighbourOf(peer: DhtPeer): boolean {
    const { self, membership, scale } = this.#components;
    const count = this.#neighbourCount();
    // This node knows few of those near a peer that is far from it.
    const closer = (scale.size * distanceTo(self.prefix, peer)) / FARTHEST;
    if (closer > MARGIN * count) return false;
    return isAmongClosest(self, peer.prefix, membership.members(), count + 1);
  }

  #neighbourCount(): number {
    return this.#components.scale.isLarge ? NEAR : NEIGHBOURS;
  }
}
