import { createHash } from 'node:crypto';

import type { PeerId } from '@libp2p/interface';

/** Kademlia's replication factor: how many peers keep the records of a key. Spegel's value. */
export const K = 20;

/** Something that has a place in the key space. */
export interface KeySpacePoint {
  /** The first 32 bits of its place, see {@link prefixOf}. */
  readonly prefix: number;
}

/** The place of a peer in the key space: the SHA2-256 of its ID's multihash. */
export function kadIdOf(peerId: PeerId): Uint8Array {
  return createHash('sha256').update(peerId.toMultihash().bytes).digest();
}

/**
 * The first 32 bits of a place in the key space. Comparing them is as good as comparing all: of 5,000 peers
 * two share them with a probability of one in 350, and then which of the two counts as closer is arbitrary,
 * which costs nothing.
 */
export function prefixOf(place: Uint8Array): number {
  return (
    (((place[0] ?? 0) << 24) |
      ((place[1] ?? 0) << 16) |
      ((place[2] ?? 0) << 8) |
      (place[3] ?? 0)) >>>
    0
  );
}

/** The multihash of a peer ID as a string that is cheap to make and to compare. */
export function peerBytes(multihash: Uint8Array): string {
  return Buffer.from(multihash.buffer, multihash.byteOffset, multihash.length).toString('latin1');
}

/**
 * The `count` candidates closest to the target by XOR distance, closest first. One pass: most candidates are
 * farther than the `count` closest so far, and cost a comparison.
 */
export function closest<T extends KeySpacePoint>(
  target: number,
  candidates: readonly T[],
  count: number,
): readonly T[] {
  const nearest: T[] = [];
  const distances: number[] = [];
  for (const candidate of candidates) {
    const distance = (target ^ candidate.prefix) >>> 0;
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
