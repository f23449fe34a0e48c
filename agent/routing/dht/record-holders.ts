/** The peers with records in this node that have one host, or one peer whose host is not known. */
export interface HolderHost {
  /** Empty for a peer whose host is not known. */
  readonly name: string;
  /** Its records in this node, of all its peers. */
  records: number;
}

/** A peer with records in this node. */
export interface Holder {
  readonly peerId: string;
  /** Its records in this node, of all keys. */
  records: number;
  /** Where it was when it last provided a record itself. */
  host: HolderHost;
}

/**
 * The holders of one key, each with the expiry of its record. An expiry is a small integer (a tick), which V8 stores
 * in place where it would box any other number. Most keys of a large network have one holder here, and a map for one
 * holder would cost more memory than all the rest; so the map is made for the second.
 */
export class Holders {
  #holder: Holder | undefined;
  #expires: number;
  /** Set once there are several; the holder that provided most recently is the last. */
  #more: Map<Holder, number> | undefined;

  /** @param expires the tick at which the record expires */
  constructor(holder: Holder, expires: number) {
    this.#holder = holder;
    this.#expires = expires;
  }

  get size(): number {
    return this.#more?.size ?? (this.#holder === undefined ? 0 : 1);
  }

  /** Adds a holder that has no record of the key yet. */
  add(holder: Holder, expires: number): void {
    if (this.#more === undefined) {
      this.#more = new Map();
      if (this.#holder !== undefined) this.#more.set(this.#holder, this.#expires);
      this.#holder = undefined;
    }
    this.#more.set(holder, expires);
  }

  /** Renews the expiry of the holder's record. Returns false when the holder has none. */
  renew(holder: Holder, expires: number): boolean {
    if (this.#more === undefined) {
      if (this.#holder !== holder) return false;
      this.#expires = expires;
      return true;
    }
    if (!this.#more.delete(holder)) return false;
    this.#more.set(holder, expires);
    return true;
  }

  /** Deletes the holder's record. Returns false when the holder has none. */
  delete(holder: Holder): boolean {
    if (this.#more !== undefined) return this.#more.delete(holder);
    if (this.#holder !== holder) return false;
    this.#holder = undefined;
    return true;
  }

  /** Returns the holders of one host, those that provided longest ago first. */
  of(host: HolderHost): Holder[] {
    if (this.#more !== undefined) return [...this.#more.keys()].filter((it) => it.host === host);
    return this.#holder?.host === host ? [this.#holder] : [];
  }

  /** Returns the tick at which the holder's record expires. */
  expiryOf(holder: Holder): number | undefined {
    if (this.#more !== undefined) return this.#more.get(holder);
    return this.#holder === holder ? this.#expires : undefined;
  }

  /** Returns the peer IDs of the holders with a valid record, the most recent first. */
  valid(now: number): string[] {
    if (this.#more === undefined) {
      return this.#holder !== undefined && this.#expires > now ? [this.#holder.peerId] : [];
    }
    const valid: string[] = [];
    for (const [{ peerId }, expires] of this.#more) if (expires > now) valid.push(peerId);
    return valid.reverse();
  }

  /** Removes and returns the holders whose record has expired. */
  removeExpired(now: number): Holder[] {
    if (this.#more === undefined) {
      if (this.#holder === undefined || this.#expires > now) return [];
      const holder = this.#holder;
      this.#holder = undefined;
      return [holder];
    }
    const expired: Holder[] = [];
    for (const [holder, expires] of this.#more) {
      if (expires > now) continue;
      expired.push(holder);
      this.#more.delete(holder);
    }
    return expired;
  }
}
