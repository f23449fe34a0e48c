import { closest, K } from '../dht/kademlia.ts';
import type { RoutingKey } from '../dht/key.ts';
import type { DhtPeer, Membership } from '../node/membership.ts';
import { QUORUM, type DecidingPeers } from './deciding-peers.ts';

/**
 * How many connected members are asked besides, when others have named one of those asked first and this node is not
 * connected with it. It may not exist: a peer that invents thousands has some of them closest to each key.
 */
const SPARES_OF_STRANGERS = 2;

export interface FirstWaveComponents {
  readonly self: DhtPeer;
  readonly membership: Pick<
    Membership,
    'isConnected' | 'isContact' | 'isEstablished' | 'isUnresponsive'
  >;
  /** Whether this node has got the records that it is to keep. */
  readonly isEstablished: () => boolean;
}

/** Whom a query asks first. */
export interface FirstWave {
  /** Those that are asked at once. */
  readonly peers: readonly DhtPeer[];
  /** Those that are asked when one of these is late or fails. */
  readonly spares: readonly DhtPeer[];
  /** How many answers without a provider make a miss, see {@link DecidingPeers}. */
  readonly quorum: number;
  /** The closest peers that are known, which are to keep the record. The answer of another one says nothing of a miss. */
  readonly nearest: readonly DhtPeer[];
}

/**
 * The peers that are sure to have the record, if there is one, and those that stand in for them.
 *
 * @param ranking all peers that are known, except this node
 * @returns undefined when there are too few
 */
export function firstWave(
  { self, membership, isEstablished }: FirstWaveComponents,
  deciding: DecidingPeers,
  { target }: Pick<RoutingKey, 'target'>,
  ranking: readonly DhtPeer[],
): FirstWave | undefined {
  const nearest = closest(target, [...ranking, self], K);
  // Providers that have known this node for so long have sent it their records.
  const countsSelf = nearest.includes(self) && !deciding.isLarge && isEstablished();
  const quorum = countsSelf ? QUORUM - 1 : QUORUM;
  // Of a contact its answer says whether it has the records.
  const responsible = nearest
    .filter((peer) => peer !== self)
    .filter(({ text }) => membership.isEstablished(text) || membership.isContact(text))
    .filter(({ text }) => !membership.isUnresponsive(text));
  const peers = deciding.of(responsible, quorum);
  // Spares are of other hosts than those asked first, if there are any: else one host could have a miss by itself.
  const besides = (others: readonly DhtPeer[]): readonly DhtPeer[] =>
    deciding.oneOfHostFirst([...peers, ...others]).filter((peer) => !peers.includes(peer));
  const rest = besides(responsible);
  if (rest.length === 0 || peers.length < deciding.needed(quorum)) return undefined;
  const standIns = deciding.standIns(rest);
  // In a large network few of the connected ones are closest to the key, so most would have no record either.
  const areKnown = deciding.isLarge || peers.every(({ text }) => membership.isConnected(text));
  if (areKnown) return { peers, spares: standIns, quorum, nearest };
  const connected = ranking.filter(
    ({ text }) => membership.isConnected(text) && !membership.isUnresponsive(text),
  );
  const spares = besides(closest(target, connected, K)).slice(0, SPARES_OF_STRANGERS);
  return { peers, spares: spares.length > 0 ? spares : standIns, quorum, nearest };
}
