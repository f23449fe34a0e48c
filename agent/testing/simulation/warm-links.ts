import { bucketOf, closest } from '../../routing/dht/kademlia.ts';
import type { KeySpacePoint } from '../../routing/dht/kademlia.ts';
import { NEAR } from '../../routing/discovery/connection-budget.ts';

/** Connections with which a node makes no more: those at which `Connector` rests, with its default maximum. */
const ENOUGH = 120;
/** Connections of a node that others choose only when there are no others. */
const MANY = 150;

/** A connection that is to be made, by the numbers of the nodes. */
export interface WarmLink {
  readonly dialler: number;
  readonly listener: number;
}

/**
 * The connections of a network that has run for long, as `Connector` leaves them: each node is connected with those next to
 * it, and with about as many of each bucket as it has room for.
 *
 * @param random gives a number from 0 up to, not including, 1
 */
export function warmLinks(
  points: readonly KeySpacePoint[],
  random: () => number = Math.random,
): WarmLink[] {
  return new WarmLinks(points, random).all;
}

class WarmLinks {
  readonly all: WarmLink[] = [];
  readonly #peers: readonly Set<number>[];
  readonly #points: readonly (KeySpacePoint & { readonly index: number })[];

  readonly #random: () => number;

  constructor(points: readonly KeySpacePoint[], random: () => number) {
    this.#random = random;
    this.#points = points.map(({ prefix }, index) => ({ prefix, index }));
    this.#peers = points.map(() => new Set());
    for (const { prefix, index } of this.#points) {
      // It is the closest to itself.
      for (const near of closest(prefix, this.#points, NEAR + 1)) {
        const isOurs = this.#random() < 0.5;
        this.#link(isOurs ? index : near.index, isOurs ? near.index : index);
      }
    }
    for (const { index } of shuffled(this.#points, random)) this.#linkFar(index);
  }

  #linkFar(index: number): void {
    const self = this.#points[index];
    if (self === undefined) return;
    const counts = new Map<number, number>();
    const strangers = new Map<number, number[]>();
    for (const point of shuffled(this.#points, this.#random)) {
      if (point.index === index) continue;
      const bucket = bucketOf(self, point);
      if (this.#peersOf(index).has(point.index)) counts.set(bucket, (counts.get(bucket) ?? 0) + 1);
      else if (this.#peersOf(point.index).size >= MANY) continue;
      else if (strangers.get(bucket)?.push(point.index) === undefined) {
        strangers.set(bucket, [point.index]);
      }
    }
    while (this.#peersOf(index).size < ENOUGH && strangers.size > 0) {
      let poorest = -1;
      let fewest = Infinity;
      for (const bucket of strangers.keys()) {
        const count = counts.get(bucket) ?? 0;
        if (count < fewest) [fewest, poorest] = [count, bucket];
      }
      const stranger = strangers.get(poorest)?.pop();
      if (stranger === undefined) strangers.delete(poorest);
      else {
        this.#link(index, stranger);
        counts.set(poorest, fewest + 1);
      }
    }
  }

  #link(dialler: number, listener: number): void {
    if (dialler === listener || this.#peersOf(dialler).has(listener)) return;
    this.#peersOf(dialler).add(listener);
    this.#peersOf(listener).add(dialler);
    this.all.push({ dialler, listener });
  }

  #peersOf(index: number): Set<number> {
    const peers = this.#peers[index];
    if (peers === undefined) throw new Error(`there is no node ${index}`);
    return peers;
  }
}

function shuffled<T>(values: readonly T[], random: () => number): T[] {
  const result = [...values];
  for (let at = result.length - 1; at > 0; at--) {
    const other = Math.floor(random() * (at + 1));
    [result[at], result[other]] = [result[other] as T, result[at] as T];
  }
  return result;
}
