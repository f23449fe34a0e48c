import { createHash } from 'node:crypto';

import type { PeerId } from '@libp2p/interface';

/** Kademlia's replication factor: how many peers keep the records of a key. Spegel's value. */
export const REPLICATION = 20;

/** Something that has a place in the key space. */
export interface Placed {
  /** 32 bytes. */
  readonly kadId: Uint8Array;
}

/** The place of a peer in the key space: the SHA2-256 of its ID's multihash. */
export function kadIdOf(peerId: PeerId): Uint8Array {
  return createHash('sha256').update(peerId.toMultihash().bytes).digest();
}

/** The multihash of a peer ID as a string that is cheap to make and to compare. */
export function peerBytes(multihash: Uint8Array): string {
  return Buffer.from(multihash.buffer, multihash.byteOffset, multihash.length).toString('latin1');
}

/**
 * The `count` candidates closest to the target by XOR distance, closest first; when there are no more than
 * `count` of them, all of them in no particular order.
 */
export function closest<T extends Placed>(
  target: Uint8Array,
  candidates: readonly T[],
  count: number,
): readonly T[] {
  if (candidates.length <= count) return candidates;
  return candidates
    .map((candidate) => ({ candidate, distance: distancePrefix(target, candidate.kadId) }))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, count)
    .map(({ candidate }) => candidate);
}

/**
 * The first 48 bits of the distance. That is as much as a number holds exactly, and two of a million peers
 * share them with a probability of one in 500: then their order is arbitrary, which costs nothing.
 */
function distancePrefix(a: Uint8Array, b: Uint8Array): number {
  let distance = 0;
  for (let i = 0; i < 6; i++) distance = distance * 256 + ((a[i] ?? 0) ^ (b[i] ?? 0));
  return distance;
}
