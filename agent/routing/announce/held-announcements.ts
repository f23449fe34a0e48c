import { LRUCache } from 'lru-cache';

import { distanceTo } from '../dht/kademlia.ts';
import type { ProviderRecords } from '../dht/provider-records.ts';
import type { AddressBook } from '../node/address-book.ts';
import { targetOfRecord } from './announcement.ts';
import type { SignedAnnouncement } from './announcement.ts';
import { KnownProviders } from './known-providers.ts';

/** Upper bound for all announcements that are kept, in bytes. The oldest are dropped first; their records stay. */
const MAX_BYTES = 16 * 1024 * 1024;
/** What an announcement takes beside its envelope, in bytes. */
const OVERHEAD_BYTES = 600;
/** Maximum number of announcements kept of one provider: an honest one has a few close to a node. */
const MAX_OF_ONE_PROVIDER = 64;
/** Two announcements of one provider may overtake each other on their way for so long, in milliseconds. */
const REORDERED_MS = 60_000;

interface Held {
  readonly announcement: SignedAnnouncement;
  /** The points of its keys, of those that it withdraws too. */
  readonly points: readonly number[];
  /** When the provider has announced it, as by `now`; by what was said of its age. */
  announcedAt: number;
}

export interface HeldAnnouncementsComponents {
  readonly records: ProviderRecords;
  readonly addressBook: Pick<AddressBook, 'set'>;
  /** Whether this node is to keep the records of a key at this point of the key space. */
  readonly isOurs: (target: number) => boolean;
  /** How many nodes there are, about. */
  readonly networkSize: () => number;
  /** The host that a provider is connected from; undefined when it is not connected. */
  readonly hostOf: (peerId: string) => string | undefined;
}

/** Options of {@link HeldAnnouncements}. */
export interface HeldAnnouncementsInit {
  readonly ownPeerId: string;
  /** How long a record is valid, in milliseconds. */
  readonly validityMs: number;
  /** Milliseconds on a clock that never jumps; default `performance.now`. */
  readonly now?: () => number;
}

/** How an announcement came here. */
export interface Arrival {
  /** The peer that has sent it. When it is the provider itself, its clock may have been set back. */
  readonly from: string;
  /** How long ago it was announced, in milliseconds. Default 0. */
  readonly ageMs?: number;
}

/** An announcement that is handed over. */
export interface HandedOver {
  readonly envelope: Uint8Array;
  readonly ageMs: number;
}

/**
 * The announcements behind the records that this node keeps for others. They are kept as they were signed, so that
 * they can be handed over to a node that joins, which need not believe this one.
 */
export class HeldAnnouncements {
  readonly #components: HeldAnnouncementsComponents;
  readonly #ownPeerId: string;
  readonly #now: () => number;
  readonly #validityMs: number;
  readonly #held: LRUCache<string, Held>;
  readonly #providers: KnownProviders;

  constructor(components: HeldAnnouncementsComponents, init: HeldAnnouncementsInit) {
    this.#components = components;
    this.#ownPeerId = init.ownPeerId;
    this.#now = init.now ?? (() => performance.now());
    this.#validityMs = init.validityMs;
    this.#providers = new KnownProviders(components.networkSize);
    this.#held = new LRUCache<string, Held>({
      maxSize: MAX_BYTES,
      sizeCalculation: ({ announcement, points }) =>
        announcement.envelope.length + 40 * points.length + OVERHEAD_BYTES,
      dispose: ({ announcement }, id) => {
        this.#providers.get(announcement.provider.toString())?.ids.delete(id);
      },
    });
  }

  /** Number of announcements. */
  get size(): number {
    return this.#held.size;
  }

  /** The highest sequence of the provider that is known here; 0 when none is. */
  sequenceOf(peerId: string): number {
    return this.#providers.get(peerId)?.sequence ?? 0;
  }

  /**
   * Stores the records of an announcement that are close to this node, and deletes those that it withdraws. The caller
   * has checked its signature.
   *
   * @returns false when a later one is here, it has expired, or its sender has introduced too many providers
   */
  take(announcement: SignedAnnouncement, { from, ageMs = 0 }: Arrival): boolean {
    const { provider, sequence, label, provided } = announcement;
    const peerId = provider.toString();
    if (peerId === this.#ownPeerId || ageMs >= this.#validityMs) return false;
    const isDirect = from === peerId;
    const known = this.#providers.introduce(peerId, from);
    if (known === undefined) return false;
    const announcedAt = this.#now() - ageMs;
    const id = `${peerId} ${String(label)}`;
    const before = this.#held.peek(id);
    if (before?.announcement.sequence === sequence) return this.#renew(before, announcedAt, ageMs);
    const isSetBack = isDirect && announcedAt - (before?.announcedAt ?? -Infinity) > REORDERED_MS;
    const isLater = sequence > (before?.announcement.sequence ?? 0);
    // An old one under a label that is not used any more would bring back what was withdrawn since.
    const isRecent = sequence > known.sequence - this.#validityMs;
    if (!isSetBack && !(isLater && (isRecent || isDirect))) return false;
    this.#held.delete(id);
    this.#store(announcement, before, { ageMs, isLatest: isDirect || sequence >= known.sequence });
    known.sequence = isSetBack ? sequence : Math.max(known.sequence, sequence);
    const points = [...provided, ...announcement.withdrawn].map(targetOfRecord);
    // One that withdraws all is kept too: it keeps older ones out.
    const isKept = provided.length === 0 || points.some((point) => this.#components.isOurs(point));
    if (isKept && known.ids.size < MAX_OF_ONE_PROVIDER) {
      known.ids.add(id);
      this.#held.set(id, { announcement, points, announcedAt });
    }
    return true;
  }

  /**
   * The announcements with a key within this distance of the point, by its first 32 bits, and how old they are. They come
   * in the order in which they came here: one may withdraw a key that an earlier one under another label provides.
   */
  within(point: number, distance: number): HandedOver[] {
    const found: HandedOver[] = [];
    for (const { announcement, points, announcedAt } of [...this.#held.values()].reverse()) {
      const ageMs = this.#now() - announcedAt;
      if (ageMs >= this.#validityMs) continue;
      if (!points.some((prefix) => distanceTo(point, { prefix }) <= distance)) continue;
      found.push({ envelope: announcement.envelope, ageMs });
    }
    return found;
  }

  /** Removes those that have expired, and forgets providers without any record here. */
  sweep(): void {
    const now = this.#now();
    for (const [id, { announcedAt }] of [...this.#held.entries()]) {
      if (now - announcedAt >= this.#validityMs) this.#held.delete(id);
    }
    const { records } = this.#components;
    this.#providers.sweep((peerId) => records.hasPeer(peerId));
  }

  /** The same announcement once more, which another peer says to be younger: no peer can make its records old. */
  #renew(held: Held, announcedAt: number, ageMs: number): boolean {
    if (announcedAt <= held.announcedAt) return true;
    held.announcedAt = announcedAt;
    const { records, isOurs, hostOf } = this.#components;
    const { provider, sequence, provided } = held.announcement;
    const peerId = provider.toString();
    const origin = { ageMs, host: hostOf(peerId) };
    const gone = this.#keysOf(peerId, 'withdrawn', (other) => other > sequence);
    for (const key of provided) {
      if (isOurs(targetOfRecord(key)) && !gone.has(key)) records.add(key, peerId, origin);
    }
    return true;
  }

  #store(
    { provider, multiaddrs, sequence, provided, withdrawn }: SignedAnnouncement,
    before: Held | undefined,
    { ageMs, isLatest }: { readonly ageMs: number; readonly isLatest: boolean },
  ): void {
    const { records, addressBook, isOurs, hostOf } = this.#components;
    const peerId = provider.toString();
    // An earlier one that comes late does not bring back what another has withdrawn since.
    const gone = this.#keysOf(peerId, 'withdrawn', (other) => !isLatest && other > sequence);
    const kept = new Set(provided.filter((key) => isOurs(targetOfRecord(key)) && !gone.has(key)));
    const elsewhere = this.#keysOf(peerId, 'provided', () => true);
    for (const key of before?.announcement.provided ?? []) {
      if (!kept.has(key) && !elsewhere.has(key)) records.delete(key, peerId);
    }
    const later = this.#keysOf(peerId, 'provided', (other) => other > sequence);
    for (const key of withdrawn) {
      if (!kept.has(key) && !later.has(key)) records.delete(key, peerId);
    }
    if (kept.size === 0) return;
    if (isLatest) addressBook.set(peerId, provider.toMultihash().bytes, multiaddrs);
    const origin = { ageMs, host: hostOf(peerId) };
    for (const key of kept) records.add(key, peerId, origin);
  }

  /** The keys of all announcements of the provider here whose sequence passes the test. */
  #keysOf(
    peerId: string,
    which: 'provided' | 'withdrawn',
    isTaken: (sequence: number) => boolean,
  ): ReadonlySet<string> {
    const keys = new Set<string>();
    for (const id of this.#providers.get(peerId)?.ids ?? []) {
      const held = this.#held.peek(id);
      if (held === undefined || !isTaken(held.announcement.sequence)) continue;
      for (const key of held.announcement[which]) keys.add(key);
    }
    return keys;
  }
}
