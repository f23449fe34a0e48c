import { Holders } from './record-holders.ts';
import type { Holder, HolderHost } from './record-holders.ts';

/** How long a record is valid after it was last provided, in milliseconds: 19 minutes, as in Spegel. */
export const DEFAULT_VALIDITY_MS = 19 * 60_000;
/** Upper bound for all records: five times those that 1,000 nodes of 1,000 keys provide to each node. */
const MAX_RECORDS = 100_000;
/** Upper bound for the records of one peer: it holds that many keys and this node is close to all of them. */
const MAX_RECORDS_PER_PEER = 10_000;
/**
 * Upper bound for the records of all peers at one host: twice that of a peer, so that some nodes behind one NAT have room, and
 * five hosts are needed to fill the table, however many identities each has.
 */
const MAX_RECORDS_PER_HOST = 20_000;

/** Shortest time between two sweeps for expired records when the table is full, in milliseconds. */
const SWEEP_PAUSE_MS = 10_000;
/** Share of its records that the host with most of them loses when the table is full. */
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
  /** Default {@link MAX_RECORDS_PER_HOST}. */
  readonly maxRecordsPerHost?: number;
  /** Called when a peer has provided a record, or has renewed it. */
  readonly onProvided?: (recordKey: string, peerId: string) => void;
  /** Milliseconds on a clock that never jumps; default `performance.now`. */
  readonly now?: () => number;
}

/** Where a record comes from. */
export interface RecordOrigin {
  /** How long ago the peer has provided it, in milliseconds; a renewal never shortens the time that is left. Default 0. */
  readonly ageMs?: number;
  /**
   * The host that the peer is connected from, see `hostOf`. Default: the one that is known already, or none; then the peer
   * counts alone.
   */
  readonly host?: string | undefined;
}

/**
 * The provider records that this node stores for the DHT (libp2p specification "kad-dht", section "Content
 * provider advertisement"). They are indexed by key, so that the cost of a read grows with the providers of that key
 * only. A read never returns an expired record. The peers at one host share what one host may store. When the table is
 * full, the host with most records loses some of them, so that a few hosts cannot shut out the others, with however many
 * identities. A record that still does not fit is refused.
 *
 * Keys are those of `recordKeyOf`. `e2e/bench/record-memory.ts` measures the bytes that a record takes.
 */
export class ProviderRecords {
  readonly #ownPeerId: string;
  readonly #validityMs: number;
  readonly #maxRecords: number;
  readonly #maxRecordsPerPeer: number;
  readonly #maxRecordsPerHost: number;
  readonly #onProvided: (recordKey: string, peerId: string) => void;
  readonly #now: () => number;
  readonly #keys = new Map<string, Holders>();
  /** Peers with records; one object is shared by all records of a peer. */
  readonly #peers = new Map<string, Holder>();
  /** Known hosts of peers with records, by their names. */
  readonly #hosts = new Map<string, HolderHost>();
  #size = 0;
  #lastSweep = Number.NEGATIVE_INFINITY;

  constructor(init: ProviderRecordsInit) {
    this.#ownPeerId = init.ownPeerId;
    this.#validityMs = init.validityMs ?? DEFAULT_VALIDITY_MS;
    this.#maxRecords = init.maxRecords ?? MAX_RECORDS;
    this.#maxRecordsPerPeer = init.maxRecordsPerPeer ?? MAX_RECORDS_PER_PEER;
    this.#maxRecordsPerHost = init.maxRecordsPerHost ?? MAX_RECORDS_PER_HOST;
    this.#onProvided = init.onProvided ?? (() => undefined);
    this.#now = init.now ?? (() => performance.now());
  }

  /** Stored records, including expired ones that are not swept yet. */
  get size(): number {
    return this.#size;
  }

  /** Adds or renews a record. Returns false when the table is full. */
  add(recordKey: string, peerId: string, { ageMs = 0, host }: RecordOrigin = {}): boolean {
    const own = peerId === this.#ownPeerId;
    const validUntil = this.#now() + this.#validityMs - ageMs;
    const expires = own ? NEVER : Math.ceil(validUntil / TICK_MS);
    if (ageMs > 0 && this.#expiryOf(recordKey, peerId) >= expires) return true;
    if (host !== undefined) this.#move(peerId, host);
    if (!this.#renew(recordKey, peerId, expires)) {
      if (!own && !this.#makeSpace(peerId, host)) return false;
      const holder = this.#holder(peerId, host);
      // Making space may have removed the last record of this very key.
      const holders = this.#keys.get(recordKey);
      if (holders === undefined) this.#keys.set(recordKey, new Holders(holder, expires));
      else holders.add(holder, expires);
      holder.records++;
      holder.host.records++;
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
    this.#leaveHost(holder, 1);
    if (--holder.records === 0) this.#peers.delete(holder.peerId);
  }

  #holder(peerId: string, host: string | undefined): Holder {
    const known = this.#peers.get(peerId);
    if (known !== undefined) return known;
    const holder = { peerId, records: 0, host: this.#host(host) };
    this.#peers.set(peerId, holder);
    return holder;
  }

  /** A peer that is at another host now takes its records along. */
  #move(peerId: string, name: string): void {
    const holder = this.#peers.get(peerId);
    if (holder === undefined || holder.host.name === name) return;
    this.#leaveHost(holder, holder.records);
    holder.host = this.#host(name);
    holder.host.records += holder.records;
  }

  #host(name = ''): HolderHost {
    const host = this.#hosts.get(name) ?? { name, records: 0 };
    if (name !== '') this.#hosts.set(name, host);
    return host;
  }

  #leaveHost({ host }: Holder, records: number): void {
    host.records -= records;
    if (host.records === 0) this.#hosts.delete(host.name);
  }

  #makeSpace(peerId: string, name: string | undefined): boolean {
    const fits = (): boolean =>
      this.#size < this.#maxRecords &&
      (this.#peers.get(peerId)?.records ?? 0) < this.#maxRecordsPerPeer &&
      this.#recordsOfHost(peerId, name) < this.#maxRecordsPerHost;
    if (!fits() && this.#now() - this.#lastSweep >= SWEEP_PAUSE_MS) this.sweep();
    if (this.#size >= this.#maxRecords) this.#evictFor(this.#recordsOfHost(peerId, name));
    return fits();
  }

  #recordsOfHost(peerId: string, name: string | undefined): number {
    const host = name === undefined ? this.#peers.get(peerId)?.host : this.#hosts.get(name);
    return host?.records ?? 0;
  }

  /**
   * Deletes the oldest records of the host with most of them; several at once, because the search is expensive.
   *
   * @param own records of the host for which there is to be room: it does not displace one with fewer
   */
  #evictFor(own: number): void {
    let largest: HolderHost | undefined;
    let max = own + 1;
    for (const { peerId, host } of this.#peers.values()) {
      if (host.records <= max || peerId === this.#ownPeerId) continue;
      [largest, max] = [host, host.records];
    }
    if (largest === undefined) return;
    let surplus = Math.ceil(max * EVICTED_SHARE);
    for (const [recordKey, holders] of this.#keys) {
      for (const holder of holders.of(largest)) {
        holders.delete(holder);
        this.#forget(recordKey, holders, holder);
        if (--surplus === 0) return;
      }
    }
  }
}
