/** How long a record is believed after it was last placed: Spegel's 19 minutes. */
const DEFAULT_VALIDITY_MS = 19 * 60_000;
/**
 * Records kept for all peers together: five times what 1,000 nodes of 1,000 keys put on each of them. When
 * each has a key of its own they take 45 MB of heap (measured with Node.js 24).
 */
const MAX_RECORDS = 100_000;
/** Records that one peer may place with us: it holds that many keys and we are close to all of them. */
const MAX_RECORDS_PER_PEER = 10_000;
/** Providers named for one key, the most recently placed ones: some keys are held by every node. */
const MAX_PROVIDERS_PER_READ = 100;

/** Looking for expired records when the store is full is done at most this often. */
const SWEEP_PAUSE_MS = 10_000;
/** Part of its records that the peer with the most of them loses when there is no room for another's. */
const EVICTED_SHARE = 0.1;

/** Options of {@link ProviderRecords}. */
export interface ProviderRecordsInit {
  /** Whose records neither expire nor count: they live as long as the node advertises the key. */
  readonly ownPeerId: string;
  /** Default {@link DEFAULT_VALIDITY_MS}. */
  readonly validityMs?: number;
  /** Default {@link MAX_RECORDS}. */
  readonly maxRecords?: number;
  /** Default {@link MAX_RECORDS_PER_PEER}. */
  readonly maxRecordsPerPeer?: number;
  /** Called when a peer has placed a record, or placed it again. */
  readonly onPlaced?: (recordKey: string, peerId: string) => void;
  /** Milliseconds on a clock that never jumps; default `performance.now`. */
  readonly now?: () => number;
}

/**
 * Who holds what, as far as this node is one of those that keep the record: indexed by key, so that a read
 * costs as much as there are providers of that key, and never returning a record past its validity. When it
 * is full, peers with many records make room for those with few, so that some that fill it do not shut out
 * the others; what finds no room is refused, and counted.
 */
export class ProviderRecords {
  readonly #ownPeerId: string;
  readonly #validityMs: number;
  readonly #maxRecords: number;
  readonly #maxRecordsPerPeer: number;
  readonly #onPlaced: (recordKey: string, peerId: string) => void;
  readonly #now: () => number;
  /** Record key -> peer ID -> when the record expires; the most recently placed last. */
  readonly #keys = new Map<string, Map<string, number>>();
  /** Peer ID -> number of its records. */
  readonly #perPeer = new Map<string, number>();
  #size = 0;
  #refused = 0;
  #lastSweep = Number.NEGATIVE_INFINITY;

  constructor(init: ProviderRecordsInit) {
    this.#ownPeerId = init.ownPeerId;
    this.#validityMs = init.validityMs ?? DEFAULT_VALIDITY_MS;
    this.#maxRecords = init.maxRecords ?? MAX_RECORDS;
    this.#maxRecordsPerPeer = init.maxRecordsPerPeer ?? MAX_RECORDS_PER_PEER;
    this.#onPlaced = init.onPlaced ?? (() => undefined);
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
    let peers = this.#keys.get(recordKey);
    if (peers?.delete(peerId) !== true) {
      if (!own && !this.#hasRoom(peerId)) {
        this.#refused++;
        return false;
      }
      // The room may have been made by clearing away the last record of this very key.
      peers = this.#keys.get(recordKey);
      if (peers === undefined) {
        peers = new Map<string, number>();
        this.#keys.set(recordKey, peers);
      }
      this.#count(peerId, 1);
    }
    peers.set(peerId, own ? Number.POSITIVE_INFINITY : this.#now() + this.#validityMs);
    this.#onPlaced(recordKey, peerId);
    return true;
  }

  delete(recordKey: string, peerId: string): void {
    const peers = this.#keys.get(recordKey);
    if (peers?.delete(peerId) !== true) return;
    if (peers.size === 0) this.#keys.delete(recordKey);
    this.#count(peerId, -1);
  }

  /** Whether the record is there and valid. */
  has(recordKey: string, peerId: string): boolean {
    return (this.#keys.get(recordKey)?.get(peerId) ?? 0) > this.#now();
  }

  /** Whether the peer has any record here. */
  hasPeer(peerId: string): boolean {
    return this.#perPeer.has(peerId);
  }

  /** The peers with a valid record of the key, most recently placed first, bounded. */
  providers(recordKey: string): string[] {
    const peers = this.#keys.get(recordKey);
    if (peers === undefined) return [];
    const now = this.#now();
    const valid: string[] = [];
    for (const [peerId, expires] of peers) {
      if (expires > now) valid.push(peerId);
    }
    return valid.slice(-MAX_PROVIDERS_PER_READ).reverse();
  }

  /** Clears expired records away. Reads do not need it; memory does. */
  sweep(): void {
    const now = this.#now();
    this.#lastSweep = now;
    for (const [recordKey, peers] of this.#keys) {
      for (const [peerId, expires] of peers) {
        if (expires <= now) this.delete(recordKey, peerId);
      }
    }
  }

  #hasRoom(peerId: string): boolean {
    const fits = (): boolean =>
      this.#size < this.#maxRecords && (this.#perPeer.get(peerId) ?? 0) < this.#maxRecordsPerPeer;
    if (!fits() && this.#now() - this.#lastSweep >= SWEEP_PAUSE_MS) this.sweep();
    if (this.#size >= this.#maxRecords) this.#evictFor(peerId);
    return fits();
  }

  /** Takes the oldest keys from the peer with the most records, several at once as finding them is dear. */
  #evictFor(peerId: string): void {
    let largest: string | undefined;
    let most = (this.#perPeer.get(peerId) ?? 0) + 1;
    for (const [other, records] of this.#perPeer) {
      if (records > most && other !== this.#ownPeerId) [largest, most] = [other, records];
    }
    if (largest === undefined) return;
    let surplus = Math.ceil(most * EVICTED_SHARE);
    for (const [recordKey, peers] of this.#keys) {
      if (!peers.has(largest)) continue;
      this.delete(recordKey, largest);
      if (--surplus === 0) return;
    }
  }

  #count(peerId: string, change: 1 | -1): void {
    this.#size += change;
    const records = (this.#perPeer.get(peerId) ?? 0) + change;
    if (records === 0) this.#perPeer.delete(peerId);
    else this.#perPeer.set(peerId, records);
  }
}
