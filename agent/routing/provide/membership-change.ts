import { isAmongClosest, K } from '../dht/kademlia.ts';
import type { KeySpacePoint } from '../dht/kademlia.ts';
import type { DhtPeer } from '../node/membership.ts';

/** Part of the members: with more changes than this it is cheaper to look at all keys anew. */
const MANY = 0.25;

/**
 * Which keys are to be assigned anew when members have come and gone: those that one of them is among the closest to.
 * In a network of 100 nodes that is a fifth of all keys for each change, and it is less in larger ones.
 */
export class MembershipChange {
  readonly #before: readonly DhtPeer[];
  readonly #after: readonly DhtPeer[];
  readonly #joined: readonly DhtPeer[];
  readonly #left: readonly DhtPeer[];

  constructor(before: readonly DhtPeer[], after: readonly DhtPeer[]) {
    this.#before = before;
    this.#after = after;
    this.#joined = without(after, before);
    this.#left = without(before, after);
  }

  /** Whether other peers than before are the closest to a point. It may say so when they are the same. */
  concerns({ prefix: target }: KeySpacePoint): boolean {
    const changes = this.#joined.length + this.#left.length;
    if (changes > this.#after.length * MANY) return true;
    const isAmong = (members: readonly DhtPeer[]) => (peer: DhtPeer) =>
      isAmongClosest(peer, target, members, K);
    return this.#joined.some(isAmong(this.#after)) || this.#left.some(isAmong(this.#before));
  }
}

function without(peers: readonly DhtPeer[], others: readonly DhtPeer[]): DhtPeer[] {
  const known = new Set(others.map(({ text }) => text));
  return peers.filter(({ text }) => !known.has(text));
}
