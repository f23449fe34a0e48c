/** What is known of a provider beside its announcements. */
export interface KnownProvider {
  /** Where its announcements are kept. */
  readonly ids: Set<string>;
  /** The highest sequence that it has signed, as far as this node has seen. */
  sequence: number;
  /** The peer whose message was the first about it. */
  readonly introducedBy: string;
}

/** Providers that are known at most, in parts of the number of nodes, and at least so many in a small network. */
const MAX_PROVIDERS = { part: 2, least: 400 };
/** The same for those that one peer has introduced: some carriers near a node introduce all providers to it. */
const MAX_BY_ONE = { part: 0.5, least: 100 };

/**
 * The providers whose announcements have come to this node. An identity costs nothing, and an announcement that another
 * peer passes on takes no connection of its provider. So their number is bounded by that of the nodes, and by the peer
 * that has introduced them: one that invents providers does not displace the records of the others.
 */
export class KnownProviders {
  readonly #providers = new Map<string, KnownProvider>();
  /** Peer -> number of providers that it has introduced. */
  readonly #introduced = new Map<string, number>();
  readonly #networkSize: () => number;

  constructor(networkSize: () => number) {
    this.#networkSize = networkSize;
  }

  get(peerId: string): KnownProvider | undefined {
    return this.#providers.get(peerId);
  }

  /** The provider, known from now on; undefined when there are too many. One that speaks for itself is always taken. */
  introduce(peerId: string, introducedBy: string): KnownProvider | undefined {
    const known = this.#providers.get(peerId);
    if (known !== undefined) return known;
    const count = this.#introduced.get(introducedBy) ?? 0;
    const isFull =
      this.#providers.size >= this.#max(MAX_PROVIDERS) || count >= this.#max(MAX_BY_ONE);
    if (isFull && introducedBy !== peerId) return undefined;
    this.#introduced.set(introducedBy, count + 1);
    const provider = { ids: new Set<string>(), sequence: 0, introducedBy };
    this.#providers.set(peerId, provider);
    return provider;
  }

  /** Forgets the providers that have no announcement here, unless they are in use otherwise. */
  sweep(isInUse: (peerId: string) => boolean): void {
    for (const [peerId, { ids, introducedBy }] of this.#providers) {
      if (ids.size > 0 || isInUse(peerId)) continue;
      this.#providers.delete(peerId);
      const count = (this.#introduced.get(introducedBy) ?? 1) - 1;
      if (count > 0) this.#introduced.set(introducedBy, count);
      else this.#introduced.delete(introducedBy);
    }
  }

  #max({ part, least }: { readonly part: number; readonly least: number }): number {
    return Math.max(least, part * this.#networkSize());
  }
}
