import { Holders } from './record-holders.ts';
import type { Holder } from './record-holders.ts';

/** How long a record is valid after it was last provided, in milliseconds: 19 minutes, as in Spegel. */
export const DEFAULT_VALIDITY_MS = 19 * 60_000;
/** Upper bound for all records: five times those that 1,000 nodes of 1,000 keys provide to each node. */
const MAX_RECORDS = 100_000;
/** Upper bound for the records of one peer: it holds that many keys and this node is close to all of them. */
const MAX_RECORDS_PER_PEER = 10_000;

/** Shortest time between two sweeps for expired records when the table is full, in milliseconds. */
const SWEEP_PAUSE_MS = 10_000;
/** Share of its records that the peer with most of them loses when the table is full. */
const EVICTED_SHARE = 0.1;

/** Milliseconds in a tick, the unit of expiries: with it they are small integers for 248 days (see {@link Holders}). */
const TICK_MS = 10;
const NEVER = 2 ** 31 - 1;

/** Options of {@link ProviderRecords}. */
export interface ProviderRecordsInit {
  /** This node. Its records neither expire nor count towards the bounds. */
  readonly ownPeerId: string;
  /** Milliseconds; default {@link DEFAULT_VALIDITY_MS}. */
  readonly validityMs?: number;
  /** Default {@link MAX_RECORDS}. */
  readonly maxRecords?: number;
  /** Default {@link MAX_RECORDS_PER_PEER}. */
  readonly maxRecordsPerPeer?: number;
  /** Called when a peer has provided a record, or has renewed it. */
  readonly onProvided?: (recordKey: string, peerId: string) => void;
  /** Milliseconds on a clock that never jumps; default `performance.now`. */
  readonly now?: () => number;
}

/**
 * The provider records that this node stores for the DHT (libp2p specification "kad-dht", section "Content
 * provider advertisement"). They are indexed by key, so that the cost of a read grows with the providers of that key
 * only. A read never returns an expired record. When the table is full, the peer with most records loses some of
 * them, so that a few peers cannot shut out the others. A record that still does not fit is refused.
 *
 * Keys are those of `recordKeyOf`. `e2e/bench/record-memory.ts` measures the bytes that a record takes.
 */
export class ProviderRecords {
  readonly #ownPeerId: string;
  readonly #validityMs: number;
  readonly #maxRecords: number;
  readonly #maxRecordsPerPeer: number;
  readonly #onProvided: (recordKey: string, peerId: string) => void;
  readonly #now: () => number;
  readonly #keys = new Map<string, Holders>();
  /** Peers with records; one object is shared by all records of a peer. */
  readonly #peers = new Map<string, Holder>();
  #size = 0;
  #lastSweep = Number.NEGATIVE_INFINITY;

  constructor(init: ProviderRecordsInit) {
    this.#ownPeerId = init.ownPeerId;
    this.#validityMs = init.validityMs ?? DEFAULT_VALIDITY_MS;
    this.#maxRecords = init.maxRecords ?? MAX_RECORDS;
    this.#maxRecordsPerPeer = init.maxRecordsPerPeer ?? MAX_RECORDS_PER_PEER;
    this.#onProvided = init.onProvided ?? (() => undefined);
    this.#now = init.now ?? (() => performance.now());
  }

  /** Stored records, including expired ones that are not swept yet. */
  get size(): number {
    return this.#size;
  }

  /**
   * Adds or renews a record. Returns false when the table is full.
   *
   * @param ageMs how long ago the peer has provided it; a renewal never shortens the time that is left
   */
  add(recordKey: string, peerId: string, ageMs = 0): boolean {
    const own = peerId === this.#ownPeerId;
    const validUntil = this.#now() + this.#validityMs - ageMs;
    const expires = own ? NEVER : Math.ceil(validUntil / TICK_MS);
    if (ageMs > 0 && this.#expiryOf(recordKey, peerId) >= expires) return true;
    if (!this.#renew(recordKey, peerId, expires)) {
      if (!own && !this.#makeSpace(peerId)) return false;
      const holder = this.#peers.get(peerId) ?? { peerId, records: 0 };
      this.#peers.set(peerId, holder);
      // Making space may have removed the last record of this very key.
      const holders = this.#keys.get(recordKey);
      if (holders === undefined) this.#keys.set(recordKey, new Holders(holder, expires));
      else holders.add(holder, expires);
      holder.records++;
      this.#size++;
    }
    this.#onProvided(recordKey, peerId);
    return true;
  }

  /** Deletes a record, if there is one. */
  delete(recordKey: string, peerId: string): void {
    const holder = this.#peers.get(peerId);
    const holders = this.#keys.get(recordKey);
    if (holder === undefined || holders?.delete(holder) !== true) return;
    this.#forget(recordKey, holders, holder);
  }

  /** Whether there is a valid record. */
  has(recordKey: string, peerId: string): boolean {
    return this.#expiryOf(recordKey, peerId) > this.#now() / TICK_MS;
  }

  /** Whether the peer has any record in this node. */
  hasPeer(peerId: string): boolean {
    return this.#peers.has(peerId);
  }

  /**
   * Returns the peers with a valid record of the key, the most recent first. Beyond `limit` a random part of them is
   * returned, so that repeated calls reach a peer that still holds the content.
   */
  providers(recordKey: string, limit: number): string[] {
    const valid = this.#keys.get(recordKey)?.valid(this.#now() / TICK_MS) ?? [];
    if (valid.length <= limit) return valid;
    const from = Math.floor(Math.random() * valid.length);
    return [...valid.slice(from), ...valid.slice(0, from)].slice(0, limit);
  }

  /** Deletes expired records to free their memory. Reads skip them anyway. */
  sweep(): void {
    const now = this.#now();
    this.#lastSweep = now;
    for (const [recordKey, holders] of this.#keys) {
      for (const holder of holders.removeExpired(now / TICK_MS))
        this.#forget(recordKey, holders, holder);
    }
  }

  #expiryOf(recordKey: string, peerId: string): number {
    const holder = this.#peers.get(peerId);
    return (holder && this.#keys.get(recordKey)?.expiryOf(holder)) ?? 0;
  }

  #renew(recordKey: string, peerId: string, expires: number): boolean {
    const holder = this.#peers.get(peerId);
    return holder !== undefined && this.#keys.get(recordKey)?.renew(holder, expires) === true;
  }

  #forget(recordKey: string, holders: Holders, holder: Holder): void {
    if (holders.size === 0) this.#keys.delete(recordKey);
    this.#size--;
    if (--holder.records === 0) this.#peers.delete(holder.peerId);
  }

  #makeSpace(peerId: string): boolean {
    const fits = (): boolean =>
      this.#size < this.#maxRecords &&
      (this.#peers.get(peerId)?.records ?? 0) < this.#maxRecordsPerPeer;
    if (!fits() && this.#now() - this.#lastSweep >= SWEEP_PAUSE_MS) this.sweep();
    if (this.#size >= this.#maxRecords) this.#evictFor(peerId);
    return fits();
  }

  /** Deletes the oldest records of the peer with most of them; several at once, because the search is expensive. */
  #evictFor(peerId: string): void {
    let largest: Holder | undefined;
    let max = (this.#peers.get(peerId)?.records ?? 0) + 1;
    for (const holder of this.#peers.values()) {
      if (holder.records <= max || holder.peerId === this.#ownPeerId) continue;
      [largest, max] = [holder, holder.records];
    }
    if (largest === undefined) return;
    let surplus = Math.ceil(max * EVICTED_SHARE);
    for (const [recordKey, holders] of this.#keys) {
      if (!holders.delete(largest)) continue;
      this.#forget(recordKey, holders, largest);
      if (--surplus === 0) return;
    }
  }
}
