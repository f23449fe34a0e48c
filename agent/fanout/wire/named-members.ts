import { peerIdFromString } from '@libp2p/peer-id';

import { namedByOthers } from '../../routing/lookup/named-provider.ts';
import type { Provider, Router } from '../../routing/router.ts';
import type { Member, Decision } from '../question.ts';

export interface NamedMembersComponents {
  readonly router: Pick<Router, 'accepts' | 'locate' | 'self'>;
}

/**
 * Turns the members that an arbiter has named into providers. Its word on where they are counts for nothing where this node
 * is connected with them. Otherwise they have a name of their own, so that what comes from there is held against the claim.
 */
export class NamedMembers {
  readonly #router: NamedMembersComponents['router'];

  constructor({ router }: NamedMembersComponents) {
    this.#router = router;
  }

  /** The peers that the answer names, in its order, without this node and those that it would not ask anywhere. */
  of(decision: Decision): readonly Provider[] {
    if (decision.kind === 'follow') return this.#providers([decision.parent]);
    return decision.kind === 'held' ? this.#providers(decision.holders) : [];
  }

  #providers(members: readonly Member[]): readonly Provider[] {
    const own = this.#router.self().peerId;
    return members
      .filter(({ peerId }) => peerId !== own && isPeerId(peerId))
      .map((member) => this.#provider(member))
      .filter((provider) => provider !== undefined);
  }

  #provider({ peerId, origins }: Member): Provider | undefined {
    const located = this.#router.locate(peerId);
    if (located !== undefined) return located;
    const accepted = origins.filter((origin) => this.#router.accepts(origin));
    return accepted.length === 0 ? undefined : namedByOthers({ peerId, origins: accepted });
  }
}

function isPeerId(text: string): boolean {
  try {
    return peerIdFromString(text).toString() === text;
  } catch {
    return false;
  }
}
