import { closest, distanceTo, K } from '../dht/kademlia.ts';
import type { KeySpacePoint } from '../dht/kademlia.ts';

/**
 * Neighbours whose density is taken for that of all nodes: with 32 the estimate is right within a fifth or so. After its
 * first look-up a node may know only the K that one answer names, and a few far ones: the nearer ones speak for
 * themselves then.
 */
const SAMPLE = { nearer: 16, all: 32 };
/**
 * So many times as dense as the whole sample the nearer half is only where farther neighbours are not known yet: by
 * chance in one of 100,000 networks.
 */
const INCOMPLETE = 3;
const KEY_SPACE = 2 ** 32;
/** Upper bound of the estimate: peers may have chosen IDs next to ours. */
const MAX_SIZE = 20_000;

/**
 * Estimates the number of nodes of a network, this one included, from how close its neighbours are: node IDs are
 * spread evenly over the key space.
 *
 * @param members those that this node knows; of its neighbours it knows nearly all
 */
export function networkSize(self: KeySpacePoint, members: readonly KeySpacePoint[]): number {
  const known = members.length + 1;
  const sample = closest(self.prefix, members, SAMPLE.all);
  if (sample.length < K) return known;
  const nearer = sizeByDensity(self, sample.slice(0, SAMPLE.nearer));
  const whole = sizeByDensity(self, sample);
  const estimate = nearer > INCOMPLETE * whole ? nearer : whole;
  return Math.max(known, Math.min(MAX_SIZE, Math.round(estimate)));
}

/** @param sample the closest members, closest first, at least one */
function sizeByDensity(self: KeySpacePoint, sample: readonly KeySpacePoint[]): number {
  const farthest = sample.at(-1);
  return farthest === undefined
    ? 0
    : (sample.length * KEY_SPACE) / (distanceTo(self.prefix, farthest) + 1);
}

/** With so many times `maxConnections` nodes a network is large, and with so many it is not any more. */
const LARGE = { from: 1, until: 0.8 };

/** Those that this node knows. */
export interface KnownMembers {
  /** Those that it has spoken with. */
  readonly verified: () => readonly KeySpacePoint[];
  /** These and those that others have named, which may be invented. */
  readonly members: () => readonly KeySpacePoint[];
}

/**
 * How large the network is. In a small one each node knows all others and is connected with most of those that it
 * needs. Nodes that are of different opinions find each other's records all the same.
 */
export class NetworkScale {
  readonly #self: KeySpacePoint;
  readonly #membership: KnownMembers;
  readonly #maxConnections: number;
  #members: readonly KeySpacePoint[] | undefined;
  #size = 1;
  #isLarge = false;

  constructor(self: KeySpacePoint, membership: KnownMembers, maxConnections: number) {
    this.#self = self;
    this.#membership = membership;
    this.#maxConnections = maxConnections;
  }

  /** Estimated number of nodes, this one included; see {@link networkSize}. */
  get size(): number {
    this.#follow();
    return this.#size;
  }

  #follow(): void {
    const members = this.#membership.verified();
    if (members !== this.#members) {
      this.#members = members;
      this.#size = networkSize(this.#self, members);
      const limit = this.#maxConnections * (this.#isLarge ? LARGE.until : LARGE.from);
      this.#isLarge = this.#size > limit;
    }
  }

  /** Whether some nodes may take it for a large one. */
  get isLargeForSome(): boolean {
    return this.size > this.#maxConnections * LARGE.until;
  }

  /** Whether it is large if the peers exist that others have named: they are known before this node has spoken with them. */
  get seemsLarge(): boolean {
    const size = networkSize(this.#self, this.#membership.members());
    return this.isLarge || size > this.#maxConnections * LARGE.from;
  }

  /** Whether it is too large for a node to know all others. */
  get isLarge(): boolean {
    this.#follow();
    return this.#isLarge;
  }
}
