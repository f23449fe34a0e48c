import { Holders } from './record-holders.ts';
import type { Holder } from './record-holders.ts';

/** How long a record is believed after it was last placed: Spegel's 19 minutes. */
const DEFAULT_VALIDITY_MS = 19 * 60_000;
/** Records kept for all peers together: five times what 1,000 nodes of 1,000 keys put on each of them. */
const MAX_RECORDS = 100_000;
/** Records that one peer may place with us: it holds that many keys and we are close to all of them. */
const MAX_RECORDS_PER_PEER = 10_000;

/** Looking for expired records when the store is full is done at most this often. */
const SWEEP_PAUSE_MS = 10_000;
/** Part of its records that the peer with the most of them loses when there is no room for another's. */
const EVICTED_SHARE = 0.1;

/** Unit of the times in memory: with it they are small integers for 248 days (see {@link Holders}). */
const TICK_MS = 10;
const NEVER = 2 ** 31 - 1;

/** Options of {@link ProviderRecords}. */
export interface ProviderRecordsInit {
  /** Whose records neither expire nor count: they live as long as the node advertises the key. */
  readonly ownPeerId: string;
  /** Milliseconds; default {@link DEFAULT_VALIDITY_MS}. */
  readonly validityMs?: number;
  /** Default {@link MAX_RECORDS}. */
  readonly maxRecords?: number;
  /** Default {@link MAX_RECORDS_PER_PEER}. */
  readonly maxRecordsPerPeer?: number;
  /** Called when a peer has placed a record, or placed it again. */
  readonly onProvided?: (recordKey: string, peerId: string) => void;
  /** Milliseconds on a clock that never jumps; default `performance.now`. */
  readonly now?: () => number;
}

/**
 * Who holds what, as far as this node is one of those that keep the record: indexed by key, so that a read
 * costs as much as there are providers of that key, and never returning a record past its validity. When it
 * is full, peers with many records make room for those with few, so that some that fill it do not shut out
 * the others; what finds no room is refused, and counted.
 *
 * Keys are those of `recordKeyOf`. `e2e/bench/record-memory.ts` measures the bytes a record takes.
 */
export class ProviderRecords {
  readonly #ownPeerId: string;
  readonly #validityMs: number;
  readonly #maxRecords: number;
  readonly #maxRecordsPerPeer: number;
  readonly #onPlaced: (recordKey: string, peerId: string) => void;
  readonly #now: () => number;
  readonly #keys = new Map<string, Holders>();
  /** Peers with records, one object for all records of a peer. */
  readonly #peers = new Map<string, Holder>();
  #size = 0;
  #refused = 0;
  #lastSweep = Number.NEGATIVE_INFINITY;

  constructor(init: ProviderRecordsInit) {
    this.#ownPeerId = init.ownPeerId;
    this.#validityMs = init.validityMs ?? DEFAULT_VALIDITY_MS;
    this.#maxRecords = init.maxRecords ?? MAX_RECORDS;
    this.#maxRecordsPerPeer = init.maxRecordsPerPeer ?? MAX_RECORDS_PER_PEER;
    this.#onPlaced = init.onProvided ?? (() => undefined);
    this.#now = init.now ?? (() => performance.now());
  }

  /** Records kept, including expired ones that have not been cleared away yet. */
  get size(): number {
    return this.#size;
  }

  /** Records that did not find room since the start. */
  get refused(): number {
    return this.#refused;
  }

  /** Adds or renews a record. False when there is no room for it. */
  add(recordKey: string, peerId: string): boolean {
    const own = peerId === this.#ownPeerId;
    const expires = own ? NEVER : Math.ceil((this.#now() + this.#validityMs) / TICK_MS);
    if (!this.#renew(recordKey, peerId, expires)) {
      if (!own && !this.#hasRoom(peerId)) {
        this.#refused++;
        return false;
      }
      const holder = this.#peers.get(peerId) ?? { peerId, records: 0 };
      this.#peers.set(peerId, holder);
      // The room may have been made by clearing away the last record of this very key.
      const holders = this.#keys.get(recordKey);
      if (holders === undefined) this.#keys.set(recordKey, new Holders(holder, expires));
      else holders.add(holder, expires);
      holder.records++;
      this.#size++;
    }
    this.#onPlaced(recordKey, peerId);
    return true;
  }

  delete(recordKey: string, peerId: string): void {
    const holder = this.#peers.get(peerId);
    const holders = this.#keys.get(recordKey);
    if (holder === undefined || holders?.delete(holder) !== true) return;
    this.#forget(recordKey, holders, holder);
  }

  /** Whether the record is there and valid. */
  has(recordKey: string, peerId: string): boolean {
    const holder = this.#peers.get(peerId);
    if (holder === undefined) return false;
    return (this.#keys.get(recordKey)?.expiryOf(holder) ?? 0) > this.#now() / TICK_MS;
  }

  /** Whether the peer has any record here. */
  hasPeer(peerId: string): boolean {
    return this.#peers.has(peerId);
  }

  /**
   * The peers with a valid record of the key, most recently placed first. When there are more than `limit`,
   * others each time: the one that still holds the content must not be hidden behind those that do not.
   */
  providers(recordKey: string, limit: number): string[] {
    const valid = this.#keys.get(recordKey)?.valid(this.#now() / TICK_MS) ?? [];
    if (valid.length <= limit) return valid;
    const from = Math.floor(Math.random() * valid.length);
    return [...valid.slice(from), ...valid.slice(0, from)].slice(0, limit);
  }

  /** Clears expired records away. Reads do not need it; memory does. */
  sweep(): void {
    const now = this.#now();
    this.#lastSweep = now;
    for (const [recordKey, holders] of this.#keys) {
      for (const holder of holders.removeExpired(now / TICK_MS))
        this.#forget(recordKey, holders, holder);
    }
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

  #hasRoom(peerId: string): boolean {
    const fits = (): boolean =>
      this.#size < this.#maxRecords &&
      (this.#peers.get(peerId)?.records ?? 0) < this.#maxRecordsPerPeer;
    if (!fits() && this.#now() - this.#lastSweep >= SWEEP_PAUSE_MS) this.sweep();
    if (this.#size >= this.#maxRecords) this.#evictFor(peerId);
    return fits();
  }

  /** Takes the oldest keys from the peer with the most records, several at once as finding them is dear. */
  #evictFor(peerId: string): void {
    let largest: Holder | undefined;
    let most = (this.#peers.get(peerId)?.records ?? 0) + 1;
    for (const holder of this.#peers.values()) {
      if (holder.records <= most || holder.peerId === this.#ownPeerId) continue;
      [largest, most] = [holder, holder.records];
    }
    if (largest === undefined) return;
    let surplus = Math.ceil(most * EVICTED_SHARE);
    for (const [recordKey, holders] of this.#keys) {
      if (!holders.delete(largest)) continue;
      this.#forget(recordKey, holders, largest);
      if (--surplus === 0) return;
    }
  }
}
