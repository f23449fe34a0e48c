import { closest } from '../dht/kademlia.ts';
import { routingKey } from '../dht/key.ts';
import type { DhtPeer, Membership } from '../node/membership.ts';
import type { PeerProtocols } from '../node/peer-protocols.ts';
import type { ClosestMember } from '../router.ts';
import type { ProviderView } from './provider-view.ts';

export interface ClosestMembersComponents {
  readonly self: DhtPeer;
  readonly membership: Pick<Membership, 'members'>;
  readonly view: Pick<ProviderView, 'self' | 'locate'>;
  readonly protocols: Pick<PeerProtocols, 'own' | 'of'>;
}

/** Names the members closest to a key, from what this node knows, without a question to a peer. */
export class ClosestMembers {
  readonly #components: ClosestMembersComponents;
  #members: readonly DhtPeer[] | undefined;
  #candidates: readonly DhtPeer[] = [];

  constructor(components: ClosestMembersComponents) {
    this.#components = components;
  }

  /** See `Router.closest`. */
  find(name: string, count: number): readonly ClosestMember[] {
    const { self, view, protocols } = this.#components;
    return closest(routingKey(name).target, this.#all(), count).map((peer) => {
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
