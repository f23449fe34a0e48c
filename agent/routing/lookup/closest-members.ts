import { Deadline } from '../../timing/deadline.ts';
import { raceSignal } from '../../timing/race-signal.ts';
import type { NetworkScale } from '../discovery/network-size.ts';
import type { NodeLookup } from '../discovery/node-lookup.ts';
import { closest } from '../dht/kademlia.ts';
import type { LookupKeys } from '../dht/lookup-keys.ts';
import type { DhtPeer, Membership } from '../node/membership.ts';
import type { PeerProtocols } from '../node/peer-protocols.ts';
import type { ClosestMember } from '../router.ts';
import type { ProviderView } from './provider-view.ts';

export interface ClosestMembersComponents {
  readonly self: DhtPeer;
  readonly lookupKeys: Pick<LookupKeys, 'first'>;
  readonly membership: Pick<Membership, 'members'>;
  readonly scale: Pick<NetworkScale, 'isLarge'>;
  readonly nodeLookup: Pick<NodeLookup, 'find'>;
  readonly view: Pick<ProviderView, 'self' | 'locate'>;
  readonly protocols: Pick<PeerProtocols, 'own' | 'of'>;
}

/** How long members are looked up, in milliseconds: what is known then is the answer. */
const LOOKUP_MS = 2000;

/**
 * Names the members closest to a key: from what this node knows, without a question to a peer, where it can know all of
 * them.
 */
export class ClosestMembers {
  readonly #components: ClosestMembersComponents;
  #members: readonly DhtPeer[] | undefined;
  #candidates: readonly DhtPeer[] = [];

  constructor(components: ClosestMembersComponents) {
    this.#components = components;
  }

  /** See `Router.closest`. */
  async find(name: string, count: number, signal?: AbortSignal): Promise<readonly ClosestMember[]> {
    const { self, lookupKeys, view, protocols, scale, nodeLookup } = this.#components;
    const { target, multihash } = lookupKeys.first(name);
    if (scale.isLarge) {
      using deadline = new Deadline(LOOKUP_MS, signal);
      // Those that it finds are members from then on.
      await raceSignal(nodeLookup.find(multihash, deadline.signal), deadline.signal).catch(
        () => undefined,
      );
    }
    signal?.throwIfAborted();
    return closest(target, this.#all(), count).map((peer) => {
      const isSelf = peer === self;
      return {
        peerId: peer.text,
        origins: (isSelf ? view.self() : view.locate(peer.text))?.origins ?? [],
        protocols: isSelf ? protocols.own() : protocols.of(peer.text),
        isSelf,
      };
    });
  }

  /**
   * All members, ordered by peer ID. `closest` compares 32 bits of the distance and keeps the order of candidates that
   * are equal in those, so that all nodes decide alike on such members.
   */
  #all(): readonly DhtPeer[] {
    const { membership, self } = this.#components;
    const members = membership.members();
    if (members !== this.#members) {
      this.#members = members;
      this.#candidates = [...members, self].sort((a, b) => (a.text < b.text ? -1 : 1));
    }
    return this.#candidates;
  }
}
