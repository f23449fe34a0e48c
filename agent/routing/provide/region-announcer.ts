import type { PrivateKey } from '@libp2p/interface';
import type { Logger } from 'pino';
import pLimit from 'p-limit';

import { Backoff } from '../../timing/backoff.ts';
import { MAX_ANNOUNCED_KEYS, sealAnnouncement } from '../announce/announcement.ts';
import type { SignedAnnouncement } from '../announce/announcement.ts';
import type { RoutingKey } from '../dht/key.ts';
import type { OwnAddresses } from '../node/own-addresses.ts';
import type { RoutingObserver } from '../routing-observer.ts';
import type { CarrierSearch } from './carrier-search.ts';
import { labelOf, MAX_PARTS, RegionLayout } from '../announce/region-layout.ts';
import type { RegionId } from '../announce/region-layout.ts';

/** Regions that are announced at a time. */
const CONCURRENCY = 8;
const RETRY = { first: 1000, max: 60_000 };
/** How far in the future a sequence that peers have seen may lie, in milliseconds: a clock may have been wrong. */
const MAX_AHEAD_MS = 366 * 86_400_000;
/** How often the sequence is raised above what peers have seen, in milliseconds. */
const RAISE_PAUSE_MS = 60_000;
/** Part of the refresh interval that an announcement may come early, so that they are spread. */
const REFRESH_SPREAD = 0.3;

/** The keys of this node in one region. */
interface Region {
  readonly id: RegionId;
  /** The label of its announcements. */
  readonly label: number;
  /** By record key: a key that is advertised again is another object, and a name may have several keys. */
  readonly keys: Map<string, RoutingKey>;
  /** Keys that the members may still have a record of, by record key. */
  readonly withdrawn: Map<string, RoutingKey>;
  readonly backoff: Backoff;
  isDirty: boolean;
  dueAt: number;
  running: Promise<void> | undefined;
  retry: NodeJS.Timeout | undefined;
}

export interface RegionAnnouncerComponents {
  readonly privateKey: PrivateKey;
  readonly addresses: Pick<OwnAddresses, 'current'>;
  readonly search: Pick<CarrierSearch, 'carry'>;
  readonly observer: RoutingObserver;
  readonly logger: Logger;
}

/**
 * Provides keys in a large network: region by region, as one announcement that two members of the region pass on to
 * those that are to keep its records. So placing all keys takes some connections for each region, and not one to each
 * node.
 */
export class RegionAnnouncer {
  readonly #components: RegionAnnouncerComponents;
  readonly #refreshMs: number;
  readonly #layout = new RegionLayout();
  /** By label. */
  readonly #regions = new Map<number, Region>();
  readonly #limit = pLimit(CONCURRENCY);
  readonly #stopped = new AbortController();
  #sequence = 0;
  #raisedAt = Number.NEGATIVE_INFINITY;

  constructor(components: RegionAnnouncerComponents, refreshMs: number) {
    this.#components = components;
    this.#refreshMs = refreshMs;
  }

  /**
   * Takes an estimate of the number of nodes. When the regions become others, all keys are announced anew, spread over a
   * quarter of the refresh interval.
   */
  follow(size: number): void {
    if (!this.#layout.follow(size)) return;
    const former = [...this.#regions.values()];
    this.#regions.clear();
    for (const { keys, withdrawn, retry, isDirty, running, dueAt } of former) {
      clearTimeout(retry);
      const isUrgent = isDirty || running !== undefined;
      for (const key of keys.values()) {
        const region = this.#regionOf(key);
        region.keys.set(key.recordKey, key);
        region.isDirty ||= isUrgent;
        region.dueAt = Math.min(region.dueAt, dueAt);
      }
      for (const key of withdrawn.values()) {
        const region = this.#regionOf(key);
        region.withdrawn.set(key.recordKey, key);
        region.isDirty = true;
      }
    }
    for (const region of this.#regions.values()) {
      // Not later than before: the records that are there expire.
      const spread = performance.now() + (Math.random() * this.#refreshMs) / 4;
      region.dueAt = Math.min(region.dueAt, spread);
      if (region.isDirty) void this.#run(region);
    }
  }

  /** Announces the keys. Resolves when the carriers of all their regions have taken them or failed once. */
  async provide(keys: readonly RoutingKey[]): Promise<void> {
    const concerned = new Set<Region>();
    for (const key of keys) {
      const region = this.#regionOf(key);
      region.withdrawn.delete(key.recordKey);
      if (region.keys.has(key.recordKey)) continue;
      region.keys.set(key.recordKey, key);
      concerned.add(region);
    }
    await this.#runAll(concerned);
  }

  /** Withdraws the keys. Resolves like {@link provide}. */
  async withdraw(keys: readonly RoutingKey[]): Promise<void> {
    const concerned = new Set<Region>();
    for (const key of keys) {
      const region = this.#regionOf(key);
      if (!region.keys.delete(key.recordKey)) continue;
      region.withdrawn.set(key.recordKey, key);
      concerned.add(region);
    }
    await this.#runAll(concerned);
  }

  /** Announces the regions that are due: their records would expire. */
  refresh(isDue: (dueAt: number) => boolean): void {
    for (const [label, region] of this.#regions) {
      if (region.keys.size === 0 && region.withdrawn.size === 0 && !region.isDirty) {
        this.#regions.delete(label);
      } else if (isDue(region.dueAt)) {
        region.isDirty = true;
        void this.#run(region);
      }
    }
  }

  /** Forgets all keys without a word to others, who provide them in another way now, or do not hold them any more. */
  clear(): void {
    for (const { retry } of this.#regions.values()) clearTimeout(retry);
    this.#regions.clear();
  }

  stop(): void {
    this.#stopped.abort();
    this.clear();
  }

  /** The region in which the key is; a new one is in the first part with room. */
  #regionOf(key: RoutingKey): Region {
    const id = this.#layout.regionOf(key);
    const first = labelOf(id) * MAX_PARTS;
    const end = first + MAX_PARTS;
    let label: number | undefined;
    for (let part = first; part < end; part++) {
      const region = this.#regions.get(part);
      if (
        region?.keys.has(key.recordKey) === true ||
        region?.withdrawn.has(key.recordKey) === true
      ) {
        return region;
      }
      const count = Math.max(region?.keys.size ?? 0, region?.withdrawn.size ?? 0);
      if (count < MAX_ANNOUNCED_KEYS) label ??= part;
    }
    return this.#regionAt(id, label ?? end - 1);
  }

  #regionAt(id: RegionId, label: number): Region {
    const region = this.#regions.get(label) ?? {
      id,
      label,
      keys: new Map<string, RoutingKey>(),
      withdrawn: new Map<string, RoutingKey>(),
      backoff: new Backoff(RETRY),
      isDirty: false,
      dueAt: Number.POSITIVE_INFINITY,
      running: undefined,
      retry: undefined,
    };
    this.#regions.set(label, region);
    return region;
  }

  /** Whether the region is still one: its keys may be in others now, or forgotten. */
  #isCurrent(region: Region): boolean {
    return this.#regions.get(region.label) === region && !this.#stopped.signal.aborted;
  }

  async #runAll(regions: ReadonlySet<Region>): Promise<void> {
    for (const region of regions) region.isDirty = true;
    await Promise.all(Array.from(regions, (region) => this.#run(region)));
  }

  #run(region: Region): Promise<void> {
    if (region.retry !== undefined || !this.#isCurrent(region)) return Promise.resolve();
    region.running ??= this.#limit(() => this.#announce(region)).finally(() => {
      region.running = undefined;
      // It may have changed after the last look at it.
      if (region.isDirty) void this.#run(region);
    });
    return region.running;
  }

  /** Announces a region until nothing has changed meanwhile. After a failure it is tried again later. Never rejects. */
  async #announce(region: Region): Promise<void> {
    const { search, observer, logger } = this.#components;
    const { signal } = this.#stopped;
    while (region.isDirty && this.#isCurrent(region)) {
      region.isDirty = false;
      const withdrawn = [...region.withdrawn.values()].slice(0, MAX_ANNOUNCED_KEYS);
      const started = performance.now();
      try {
        const announcement = await this.#seal(region, withdrawn);
        const keys = [...region.keys.values(), ...withdrawn];
        const seen = await search.carry(announcement, { region: region.id, keys }, signal);
        if (this.#isOutdated(announcement, seen)) region.isDirty = true;
        const seconds = (performance.now() - started) / 1000;
        observer.onProvide?.(region.keys.size, announcement.envelope.length, seconds);
      } catch (err) {
        if (!this.#isCurrent(region)) return;
        observer.onProvideFailure?.();
        logger.debug({ label: region.label, err }, 'no member of a region took our keys');
        this.#retryLater(region);
        return;
      }
      region.backoff.reset();
      for (const { recordKey } of withdrawn) region.withdrawn.delete(recordKey);
      if (region.withdrawn.size > 0) region.isDirty = true;
      region.dueAt = started + this.#refreshMs * (1 - Math.random() * REFRESH_SPREAD);
    }
  }

  /**
   * Whether the announcement is to be made again, with a higher sequence: peers have taken a later one of this node, when
   * its clock was ahead. The sequence is raised once for all announcements that were under way at that time.
   */
  #isOutdated({ sequence }: SignedAnnouncement, seen: number): boolean {
    const now = performance.now();
    const isPlausible = seen <= performance.timeOrigin + now + MAX_AHEAD_MS;
    if (seen > this.#sequence && isPlausible && now - this.#raisedAt >= RAISE_PAUSE_MS) {
      this.#raisedAt = now;
      this.#sequence = seen;
    }
    return seen > sequence && seen <= this.#sequence;
  }

  #retryLater(region: Region): void {
    region.isDirty = true;
    region.retry = setTimeout(() => {
      region.retry = undefined;
      void this.#run(region);
    }, region.backoff.next());
  }

  async #seal(
    { label, keys }: Region,
    withdrawn: readonly RoutingKey[],
  ): Promise<SignedAnnouncement> {
    const { addresses, privateKey } = this.#components;
    // Grows also over a restart, unless the clock is set back, see `#isOutdated`.
    const now = Math.floor(performance.timeOrigin + performance.now());
    this.#sequence = Math.max(this.#sequence + 1, now);
    return sealAnnouncement(
      {
        multiaddrs: addresses.current().map(({ bytes }) => bytes),
        sequence: this.#sequence,
        label,
        provided: [...keys.values()].slice(0, MAX_ANNOUNCED_KEYS).map(({ recordKey }) => recordKey),
        withdrawn: withdrawn.map(({ recordKey }) => recordKey),
      },
      privateKey,
    );
  }
}
