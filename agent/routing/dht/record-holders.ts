/** A peer that has placed records. */
export interface Holder {
  readonly peerId: string;
  /** How many it has placed with us, for all keys. */
  records: number;
}

/**
 * The holders of one key, each with the time at which its record expires: a small integer, which V8 keeps in
 * place where it would box any other number. Most keys of a large network have
 * one holder among those that place with us, and a map for it alone would cost more than all the rest.
 */
export class Holders {
  #holder: Holder | undefined;
  #expires: number;
  /** Set once there are several; the most recently placed last. */
  #more: Map<Holder, number> | undefined;

  constructor(holder: Holder, expires: number) {
    this.#holder = holder;
    this.#expires = expires;
  }

  get size(): number {
    return this.#more?.size ?? (this.#holder === undefined ? 0 : 1);
  }

  /** Adds a holder that is not there yet. */
  add(holder: Holder, expires: number): void {
    if (this.#more === undefined) {
      this.#more = new Map();
      if (this.#holder !== undefined) this.#more.set(this.#holder, this.#expires);
      this.#holder = undefined;
    }
    this.#more.set(holder, expires);
  }

  /** Gives the holder's record a new time; false when there is none. */
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

  /** Whether there was one. */
  delete(holder: Holder): boolean {
    if (this.#more !== undefined) return this.#more.delete(holder);
    if (this.#holder !== holder) return false;
    this.#holder = undefined;
    return true;
  }

  expiryOf(holder: Holder): number | undefined {
    if (this.#more !== undefined) return this.#more.get(holder);
    return this.#holder === holder ? this.#expires : undefined;
  }

  /** The IDs of the holders whose record is valid, the most recently placed first. */
  valid(now: number): string[] {
    if (this.#more === undefined) {
      return this.#holder !== undefined && this.#expires > now ? [this.#holder.peerId] : [];
    }
    const valid: string[] = [];
    for (const [{ peerId }, expires] of this.#more) if (expires > now) valid.push(peerId);
    return valid.reverse();
  }

  /** Removes the holders whose record has expired; those removed. */
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
