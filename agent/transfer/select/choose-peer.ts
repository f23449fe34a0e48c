import type { Provider } from '../../routing/router.ts';
import type { Nearness, PeerScores } from './peer-score.ts';

/** What the choice depends on. */
export type WeighedBy = Pick<PeerScores, 'isBusy' | 'nearness' | 'load' | 'throughput'>;

/** The zone of a peer is known after its first answer: until then it may be near. */
const DISTANCE: Readonly<Record<Nearness, number>> = { same: 0, unknown: 1, other: 2 };

/**
 * Chooses whom to ask: not one that is busy, if there is another; then one of the nearest zone; and of two of
 * those, drawn at random, the one with fewer transfers in progress, or else with the better throughput.
 *
 * The least loaded of all would be everybody's choice at the same moment, since all know the same; the better of
 * two spreads them nearly as evenly as if they knew of each other (Mitzenmacher, "The Power of Two Choices in
 * Randomized Load Balancing").
 *
 * @param random a number from 0 up to, not including, 1
 * @returns undefined when there is nobody
 */
export function choosePeer(
  candidates: readonly Provider[],
  weighed: WeighedBy,
  random: () => number = Math.random,
): Provider | undefined {
  if (candidates.length < 2) return candidates[0];
  const rankOf = ({ peerId }: Provider): number =>
    DISTANCE[weighed.nearness(peerId)] + (weighed.isBusy(peerId) ? 10 : 0);
  const ranks = candidates.map(rankOf);
  const best = Math.min(...ranks);
  const equals = candidates.filter((_, index) => ranks[index] === best);
  const one = Math.floor(random() * equals.length);
  const step = 1 + Math.floor(random() * (equals.length - 1));
  const [first, second] = [equals[one], equals[(one + step) % equals.length]];
  if (first === undefined || second === undefined || first === second) return first;
  return isBetter(second.peerId, first.peerId, weighed) ? second : first;
}

function isBetter(peerId: string, other: string, weighed: WeighedBy): boolean {
  const difference = weighed.load(peerId) - weighed.load(other);
  if (difference !== 0) return difference < 0;
  const [ours, theirs] = [weighed.throughput(peerId), weighed.throughput(other)];
  return ours !== undefined && theirs !== undefined && ours > theirs;
}
