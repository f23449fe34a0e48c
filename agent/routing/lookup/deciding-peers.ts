import { halfOf, HALVES } from '../announce/carrier.ts';
import type { NetworkScale } from '../discovery/network-size.ts';
import type { DhtPeer, Membership } from '../node/membership.ts';

/**
 * How many established peers among the 20 closest must answer that they have no record, for a miss. A provider
 * sends its record to each of the 20 separately, so each of these would have to have missed it.
 */
export const QUORUM = 3;
/** The same for each half of the peers, in a large network. */
const OF_EACH_HALF = 2;

export interface DecidingPeersComponents {
  readonly membership: Pick<Membership, 'hostOf'>;
  readonly scale: Pick<NetworkScale, 'isLarge'>;
}

/**
 * Which of the peers closest to a key decide that it has no provider. In a large network a record came to each half of
 * the peers by another carrier, so two of each half do.
 */
export class DecidingPeers {
  /** Whether the network is a large one, as it was when the query began. */
  readonly isLarge: boolean;
  readonly #membership: Pick<Membership, 'hostOf'>;

  constructor({ membership, scale }: DecidingPeersComponents) {
    this.#membership = membership;
    this.isLarge = scale.isLarge;
  }

  /**
   * Those that decide.
   *
   * @param nearest the closest first
   * @param quorum their number, except in a large network; default {@link QUORUM}
   */
  of(nearest: readonly DhtPeer[], quorum = QUORUM): readonly DhtPeer[] {
    const apart = this.oneOfHostFirst(nearest);
    return this.isLarge ? ofEachHalf(apart, OF_EACH_HALF) : apart.slice(0, quorum);
  }

  /** How many decide. */
  needed(quorum = QUORUM): number {
    return this.isLarge ? HALVES.length * OF_EACH_HALF : quorum;
  }

  /** Those of the others that stand in when some of the first do not answer. */
  standIns(others: readonly DhtPeer[]): readonly DhtPeer[] {
    return this.isLarge ? ofEachHalf(others, 1) : others.slice(0, 1);
  }

  /** Whether these, which have all records and none of the key, are enough for a miss. */
  areEnough(certain: readonly DhtPeer[], quorum: number): boolean {
    if (!this.isLarge) return certain.length >= quorum;
    return ofEachHalf(certain, OF_EACH_HALF).length >= this.needed(quorum);
  }

  /** The same peers, the first of each host before the others: the identities of one host do not decide alone. */
  oneOfHostFirst(nearest: readonly DhtPeer[]): readonly DhtPeer[] {
    const hosts = new Set<string>();
    const others: DhtPeer[] = [];
    const first = nearest.filter((peer) => {
      const host = this.#membership.hostOf(peer);
      if (host === undefined || !hosts.has(host)) {
        if (host !== undefined) hosts.add(host);
        return true;
      }
      others.push(peer);
      return false;
    });
    return [...first, ...others];
  }
}

function ofEachHalf(nearest: readonly DhtPeer[], count: number): readonly DhtPeer[] {
  return HALVES.flatMap((half) => nearest.filter((peer) => halfOf(peer) === half).slice(0, count));
}
