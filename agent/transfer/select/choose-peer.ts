import type { Provider } from '../../routing/router.ts';
import type { Nearness } from './peer-score.ts';

/** What the choice depends on, by peer ID. */
export interface PeerWeights {
  readonly isBusy: (peerId: string) => boolean;
  readonly nearness: (peerId: string) => Nearness;
  /** Transfers in progress. */
  readonly load: (peerId: string) => number;
  /** Bytes a second; undefined when unknown. */
  readonly throughput: (peerId: string) => number | undefined;
}

/** The zone of a peer is known after its first answer; until then the peer may be near. */
const DISTANCE: Readonly<Record<Nearness, number>> = { same: 0, unknown: 1, other: 2 };

/**
 * Chooses the peer to ask. Peers that are not busy come first, then those of the nearest zone. Of two of these, drawn
 * at random, it takes the one with fewer transfers in progress, or with the better throughput if these are equal.
 *
 * All nodes know the same loads, so that the least loaded peer would be the choice of every node at the same moment.
 * The better of two spreads requests nearly as evenly as if the nodes knew of each other (Mitzenmacher, "The Power of
 * Two Choices in Randomized Load Balancing").
 *
 * @param random gives a number from 0 up to, not including, 1
 * @returns undefined when there are no candidates
 */
export function choosePeer(
  candidates: readonly Provider[],
  weights: PeerWeights,
  random: () => number = Math.random,
): Provider | undefined {
  if (candidates.length < 2) return candidates[0];
  const rankOf = ({ peerId }: Provider): number =>
    DISTANCE[weights.nearness(peerId)] + (weights.isBusy(peerId) ? 10 : 0);
  const ranks = candidates.map(rankOf);
  const best = Math.min(...ranks);
  const equals = candidates.filter((_, index) => ranks[index] === best);
  const one = Math.floor(random() * equals.length);
  const step = 1 + Math.floor(random() * (equals.length - 1));
  const [first, second] = [equals[one], equals[(one + step) % equals.length]];
  if (first === undefined || second === undefined || first === second) return first;
  return isBetter(second.peerId, first.peerId, weights) ? second : first;
}

function isBetter(peerId: string, other: string, weights: PeerWeights): boolean {
  const difference = weights.load(peerId) - weights.load(other);
  if (difference !== 0) return difference < 0;
  const [ours, theirs] = [weights.throughput(peerId), weights.throughput(other)];
  return ours !== undefined && theirs !== undefined && ours > theirs;
}
