import type { Logger } from 'pino';

import { BoundedLabels } from '../../metrics/bounded-labels.ts';
import type { Metrics } from '../../metrics/metrics.ts';
import type { Provider } from '../../routing/router.ts';

/** How long a peer that sent wrong bytes for a key is not asked for that key again, in milliseconds: six hours. */
const KEY_BAN_MS = 6 * 3_600_000;

/** How long one that did so repeatedly is asked for nothing, in milliseconds: an hour from the last offence. */
const PEER_BAN_MS = 3_600_000;

/** With so many offences a peer is banned for everything. */
const MOST_OFFENCES = 3;

/** How long an offence counts, in milliseconds: a day. */
const OFFENCE_MEMORY_MS = 24 * 3_600_000;

/** How long a peer that may have sent wrong bytes is not asked for that key, unless it is cleared: an hour. */
const SUSPICION_MS = 3_600_000;

/** Peers that are remembered; of more, the one whose last offence is the oldest is forgotten. */
const MAX_PEERS = 1_000;

/** Keys that are remembered for one peer; above that it is banned for everything anyhow. */
const MAX_KEYS = 100;

/** Peers that {@link Blocklist.status} names. */
const MAX_NAMED = 50;

/** When the wrong bytes were noticed: before any was passed on to the client, or after. */
type Noticed = 'held-back' | 'passed-on';

interface PeerRecord {
  origins: readonly string[];
  /** Until when the peer is not asked for each key. */
  readonly keys: Map<string, number>;
  /** When its offences were, oldest first; no more than {@link MOST_OFFENCES}. */
  offences: number[];
  bannedUntil: number;
}

/** What a {@link Blocklist} works with. */
export interface BlocklistComponents {
  readonly metrics: Pick<Metrics, 'peerOffences'>;
  readonly logger: Logger;
}

/** A banned peer, for people. */
export interface BlockedPeer {
  readonly peerId: string;
  readonly origins: readonly string[];
  /** Those of the last day; no more than three are counted. */
  readonly offences: number;
  /** Keys that it is not asked for. */
  readonly keys: number;
  readonly forEverything: boolean;
}

/**
 * Peers that sent wrong bytes. Those are the one fault that may poison a pull: who sent them is not asked for that
 * content again, and for nothing when it happens repeatedly.
 */
export class Blocklist {
  readonly #peers = new Map<string, PeerRecord>();
  readonly #labels = new BoundedLabels();
  readonly #metrics: Pick<Metrics, 'peerOffences'>;
  readonly #logger: Logger;
  readonly #now: () => number;

  /** @param now milliseconds on a clock that never jumps */
  constructor(
    { metrics, logger }: BlocklistComponents,
    now: () => number = () => performance.now(),
  ) {
    this.#metrics = metrics;
    this.#logger = logger;
    this.#now = now;
  }

  /** Whether the peer is not to be asked for the key. */
  has(peerId: string, key: string): boolean {
    const record = this.#peers.get(peerId);
    if (record === undefined) return false;
    const now = this.#now();
    return record.bannedUntil > now || (record.keys.get(key) ?? 0) > now;
  }

  /** It is certain that the peer sent wrong bytes. */
  offence({ peerId, origins }: Provider, key: string, noticed: Noticed): void {
    const now = this.#now();
    const record = this.#record(peerId, origins);
    ban(record, key, now + KEY_BAN_MS);
    const recent = record.offences.filter((at) => at > now - OFFENCE_MEMORY_MS);
    record.offences = [...recent, now].slice(-MOST_OFFENCES);
    const forEverything = record.offences.length >= MOST_OFFENCES;
    if (forEverything) record.bannedUntil = now + PEER_BAN_MS;
    this.#metrics.peerOffences.inc({ peer: this.#labels.label(peerId), noticed });
    this.#logger.warn(
      { key, peer: peerId, origins, noticed, offences: record.offences.length, forEverything },
      'peer sent wrong bytes and is banned',
    );
  }

  /** The peer is one of several of which one sent wrong bytes. */
  suspect({ peerId, origins }: Provider, key: string): void {
    ban(this.#record(peerId, origins), key, this.#now() + SUSPICION_MS);
    this.#logger.warn(
      { key, peer: peerId, origins },
      'peer may have sent wrong bytes and is not asked for this until that is known',
    );
  }

  /** A suspect turned out to have the right bytes. */
  clear({ peerId }: Provider, key: string): void {
    const record = this.#peers.get(peerId);
    record?.keys.delete(key);
    if (record?.keys.size === 0 && record.offences.length === 0) this.#peers.delete(peerId);
    this.#logger.info({ key, peer: peerId }, 'suspected peer has the right bytes');
  }

  /** Peers that are banned now: for everything, and for some keys alone. */
  count(): { everything: number; keys: number } {
    const all = this.#current();
    const everything = all.filter(({ forEverything }) => forEverything).length;
    return { everything, keys: all.length - everything };
  }

  /** The banned peers, those that are banned for everything first; no more than 50. */
  status(): BlockedPeer[] {
    const all = this.#current();
    return all
      .toSorted((one, other) => Number(other.forEverything) - Number(one.forEverything))
      .slice(0, MAX_NAMED);
  }

  #current(): BlockedPeer[] {
    const now = this.#now();
    const all = [...this.#peers].map(([peerId, { origins, offences, keys, bannedUntil }]) => ({
      peerId,
      origins,
      offences: offences.filter((at) => at > now - OFFENCE_MEMORY_MS).length,
      keys: [...keys.values()].filter((until) => until > now).length,
      forEverything: bannedUntil > now,
    }));
    return all.filter(({ keys, forEverything }) => keys > 0 || forEverything);
  }

  /** The record of the peer, as the one that was touched last. */
  #record(peerId: string, origins: readonly string[]): PeerRecord {
    const record = this.#peers.get(peerId) ?? {
      origins,
      keys: new Map<string, number>(),
      offences: [],
      bannedUntil: 0,
    };
    record.origins = origins;
    this.#peers.delete(peerId);
    this.#peers.set(peerId, record);
    const [oldest] = this.#peers.keys();
    if (this.#peers.size > MAX_PEERS && oldest !== undefined) this.#peers.delete(oldest);
    return record;
  }
}

function ban({ keys }: PeerRecord, key: string, until: number): void {
  const before = keys.get(key) ?? 0;
  keys.delete(key);
  keys.set(key, Math.max(before, until));
  const [oldest] = keys.keys();
  if (keys.size > MAX_KEYS && oldest !== undefined) keys.delete(oldest);
}
