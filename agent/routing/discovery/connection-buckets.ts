import { bucketOf } from '../dht/kademlia.ts';
import type { KeySpacePoint } from '../dht/kademlia.ts';

/**
 * Decides which members far from this node it is connected with: about as many of each bucket. With members at
 * random most of them would be of the largest buckets, and a look-up would find no way into the small ones, which
 * are next to the neighbours (Kademlia, section 2.2 "node state").
 */
export class ConnectionBuckets {
  readonly #self: KeySpacePoint;
  /** Bucket -> number of connections with its members. */
  readonly #counts = new Map<number, number>();

  /** @param connected the members that this node is connected with */
  constructor(self: KeySpacePoint, connected: readonly KeySpacePoint[]) {
    this.#self = self;
    for (const peer of connected) this.#count(bucketOf(self, peer), 1);
  }

  /** One of these members at random, of those in the bucket with fewest connections. */
  poorest<T extends KeySpacePoint>(strangers: readonly T[]): T | undefined {
    let fewest = Number.POSITIVE_INFINITY;
    let candidates: T[] = [];
    for (const stranger of strangers) {
      const count = this.#countOf(bucketOf(this.#self, stranger));
      if (count < fewest) [fewest, candidates] = [count, []];
      if (count === fewest) candidates.push(stranger);
    }
    return candidates[Math.floor(Math.random() * candidates.length)];
  }

  /** Up to `count` of these members, each the first one of the bucket that then has most connections. */
  richest<T extends KeySpacePoint>(connected: readonly T[], count: number): T[] {
    const byBucket = Map.groupBy(connected, (peer) => bucketOf(this.#self, peer));
    const chosen: T[] = [];
    while (chosen.length < count) {
      let most: number | undefined;
      for (const bucket of byBucket.keys()) {
        if (most === undefined || this.#countOf(bucket) > this.#countOf(most)) most = bucket;
      }
      const peer = most === undefined ? undefined : byBucket.get(most)?.shift();
      if (most === undefined) break;
      if (peer === undefined) byBucket.delete(most);
      else {
        chosen.push(peer);
        this.#count(most, -1);
      }
    }
    return chosen;
  }

  #countOf(bucket: number): number {
    return this.#counts.get(bucket) ?? 0;
  }

  #count(bucket: number, change: number): void {
    this.#counts.set(bucket, this.#countOf(bucket) + change);
  }
}
