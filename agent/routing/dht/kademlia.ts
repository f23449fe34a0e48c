import { createHash } from 'node:crypto';

import type { PeerId } from '@libp2p/interface';

/** Kademlia's k: how many closest peers store the provider records of a key. The value of Spegel. */
export const K = 20;

/** The greatest distance of two points. */
export const FARTHEST = 2 ** 32 - 1;

/** A point of the key space: a peer or a key. */
export interface KeySpacePoint {
  /** Its first 32 bits, see {@link prefixOf}. */
  readonly prefix: number;
}

/** Returns the Kademlia ID of a peer: the SHA2-256 of its peer ID's multihash. */
export function kadIdOf(peerId: PeerId): Uint8Array {
  return createHash('sha256').update(peerId.toMultihash().bytes).digest();
}

/**
 * Returns the first 32 bits of a Kademlia ID. They suffice for comparing distances: two of 5,000 peers share them
 * with a probability of one in 350, and then either may count as the closer one without harm.
 */
export function prefixOf(kadId: Uint8Array): number {
  return (
    (((kadId[0] ?? 0) << 24) |
      ((kadId[1] ?? 0) << 16) |
      ((kadId[2] ?? 0) << 8) |
      (kadId[3] ?? 0)) >>>
    0
  );
}

/** Returns the multihash of a peer ID as a string that is cheap to make and to compare. */
export function peerBytes(multihash: Uint8Array): string {
  return Buffer.from(multihash.buffer, multihash.byteOffset, multihash.length).toString('latin1');
}

/** Whether fewer than `count` of the candidates are closer to the target than `self`. Most calls look at a few only. */
export function isAmongClosest(
  self: KeySpacePoint,
  target: number,
  candidates: readonly KeySpacePoint[],
  count: number,
): boolean {
  const own = distanceTo(target, self);
  let closer = 0;
  for (const candidate of candidates) {
    if (distanceTo(target, candidate) < own && ++closer >= count) return false;
  }
  return true;
}

/** Returns the XOR distance of a point from the target, by their first 32 bits. */
export function distanceTo(target: number, { prefix }: KeySpacePoint): number {
  return (target ^ prefix) >>> 0;
}

/**
 * Returns the number of leading bits that two points share, by their first 32: the k-bucket of a Kademlia node that the
 * other belongs to. Bucket 0 has about half of all nodes, each further one half of the one before.
 */
export function bucketOf(self: KeySpacePoint, other: KeySpacePoint): number {
  return Math.clz32(self.prefix ^ other.prefix);
}

/**
 * Returns the `count` candidates closest to the target by XOR distance, closest first. It takes one pass: most
 * candidates are farther than the closest ones so far and cost one comparison.
 */
export function closest<T extends KeySpacePoint>(
  target: number,
  candidates: readonly T[],
  count: number,
): readonly T[] {
  const nearest: T[] = [];
  const distances: number[] = [];
  for (const candidate of candidates) {
    const distance = distanceTo(target, candidate);
    if (nearest.length === count && distance >= (distances[count - 1] ?? 0)) continue;
    let at = nearest.length;
    while (at > 0 && distance < (distances[at - 1] ?? 0)) at--;
    nearest.splice(at, 0, candidate);
    distances.splice(at, 0, distance);
    if (nearest.length > count) {
      nearest.pop();
      distances.pop();
    }
  }
  return nearest;
}
