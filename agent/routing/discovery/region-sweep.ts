import { randomBytes } from 'node:crypto';

import { distanceTo, K } from '../dht/kademlia.ts';
import { targetOf } from '../dht/key.ts';
import type { KeySpacePoint } from '../dht/kademlia.ts';

const BITS = 32;
const KEY_SPACE = 2 ** BITS;
/**
 * How many of the peers that a look-up finds are surely the closest. Those that name them know their own neighbourhood,
 * which is not quite that of the key: the last few of the 20 may be missing.
 */
const SURE = 14;
/** Maximum number of leading bits that a key is made to have: a million attempts would keep the event loop busy. */
const MAX_PREFIX_BITS = 13;

/** Finds the peers closest to a key, closest first, at most {@link K}. */
export type FindClosest = (key: Uint8Array) => Promise<readonly KeySpacePoint[]>;

/**
 * Goes through the whole key space, region by region, so that all peers are found. The peers closest to a point fill
 * a region around it: everything within the distance of those that are surely the closest. So the next look-up begins
 * where that region ends, and their number is that of the peers by some ten.
 *
 * @param signal ends the sweep after the look-up that is under way
 */
export async function sweepRegions(find: FindClosest, signal: AbortSignal): Promise<void> {
  let at = Math.floor(Math.random() * KEY_SPACE);
  let swept = 0;
  let prefixBits = 1;
  while (swept < KEY_SPACE && !signal.aborted) {
    const key = keyWithPrefix(at, prefixBits);
    const target = targetOf(key);
    const peers = await find(key);
    // With fewer than K these are all peers that there are.
    if (peers.length < K) return;
    const farthest = distanceTo(target, peers[SURE - 1] ?? { prefix: target });
    const sizeBits = Math.min(BITS - 1, Math.floor(Math.log2(farthest + 1)));
    const size = 2 ** sizeBits;
    const isCovered = Math.floor(target / size) === Math.floor(at / size);
    if (!isCovered && prefixBits < MAX_PREFIX_BITS) {
      // The key is not close enough to the point: the region around the key does not reach it.
      prefixBits = Math.min(MAX_PREFIX_BITS, BITS - sizeBits);
      continue;
    }
    const next = (Math.floor(at / size) + 1) * size;
    swept += next - at;
    at = next % KEY_SPACE;
    prefixBits = Math.max(1, Math.min(MAX_PREFIX_BITS, BITS - sizeBits));
  }
}

/** Random bytes whose point in the key space begins with the same bits as `point`. */
export function keyWithPrefix(point: number, bits: number): Uint8Array {
  const size = 2 ** (BITS - bits);
  for (;;) {
    const key = randomBytes(32);
    if (Math.floor(targetOf(key) / size) === Math.floor(point / size)) return key;
  }
}
