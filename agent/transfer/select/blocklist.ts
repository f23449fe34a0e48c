import type { Logger } from 'pino';

import { BoundedLabels } from '../../metrics/bounded-labels.ts';
import type { Metrics } from '../../metrics/metrics.ts';
import type { Provider } from '../../routing/router.ts';
import type { PeerRecords } from './peer-records.ts';

/** How long a peer that sent wrong bytes for a key is not asked for that key, in milliseconds: six hours. */
const KEY_BLOCK_MS = 6 * 3_600_000;

/** How long a peer that did so repeatedly is not asked for anything, in milliseconds: an hour from the last time. */
const PEER_BLOCK_MS = 3_600_000;

/** This many digest mismatches within {@link MISMATCH_MEMORY_MS} block a peer for every key. */
const MAX_MISMATCHES = 3;

/** How long a digest mismatch counts, in milliseconds: a day. */
const MISMATCH_MEMORY_MS = 24 * 3_600_000;

/** How long a peer that may have sent wrong bytes is not asked for the key before it is cleared, in milliseconds: an hour. */
const UNVERIFIED_BLOCK_MS = 3_600_000;

/** Keys that are remembered for one peer. Before it has more, it is blocked for every key. */
const MAX_KEYS = 100;

/** Peers that {@link Blocklist.status} lists. */
const MAX_LISTED = 50;

/** When the digest mismatch was noticed: before the client got any byte, or after. A label of a metric. */
export type MismatchNoticed = 'held-back' | 'passed-on';

/** For what a peer is blocked. Times are in milliseconds on a clock that never jumps. */
export interface PeerBlocks {
  readonly origins: readonly string[];
  /** Until when the peer is not asked for each key. */
  readonly keys: Map<string, number>;
  /** When its digest mismatches were, oldest first; no more than {@link MAX_MISMATCHES}. */
  readonly mismatches: readonly number[];
  /** Until when the peer is not asked for any key. */
  readonly everythingUntil: number;
}

/** The records that hold the blocks, and where new ones are reported. */
export interface BlocklistComponents {
  readonly records: PeerRecords;
  readonly metrics: Pick<Metrics, 'digestMismatches'>;
  readonly logger: Logger;
}

/** A blocked peer, as `/debug/status` shows it. */
export interface BlockedPeer {
  readonly peerId: string;
  readonly origins: readonly string[];
  /** Digest mismatches of the last day; no more than three are counted. */
  readonly offences: number;
  /** Number of keys that the peer is not asked for. */
  readonly keys: number;
  readonly forEverything: boolean;
}

/**
 * Peers that sent bytes with another digest than the one requested. No other failure can poison a pull: such a peer is
 * not asked for that key for hours, and for no key at all when it happens repeatedly.
 */
export class Blocklist {
  readonly #records: PeerRecords;
  readonly #labels = new BoundedLabels();
  readonly #metrics: Pick<Metrics, 'digestMismatches'>;
  readonly #logger: Logger;
  readonly #now: () => number;

  /** @param now milliseconds on a clock that never jumps */
  constructor({ records, metrics, logger }: BlocklistComponents, now: () => number) {
    this.#records = records;
    this.#metrics = metrics;
    this.#logger = logger;
    this.#now = now;
  }

  /** Whether the peer must not be asked for the key. */
  has(peerId: string, key: string): boolean {
    const blocks = this.#records.peek(peerId)?.blocks;
    if (blocks === undefined) return false;
    const now = this.#now();
    return blocks.everythingUntil > now || (blocks.keys.get(key) ?? 0) > now;
  }

  /** Blocks a peer that certainly sent wrong bytes for the key. */
  mismatched({ peerId, origins }: Provider, key: string, noticed: MismatchNoticed): void {
    const now = this.#now();
    const before = this.#blocksOf(peerId);
    const recent = before.mismatches.filter((at) => at > now - MISMATCH_MEMORY_MS);
    const mismatches = [...recent, now].slice(-MAX_MISMATCHES);
    const forEverything = mismatches.length >= MAX_MISMATCHES;
    this.#records.block(peerId, {
      origins,
      keys: withKey(before.keys, key, now + KEY_BLOCK_MS),
      mismatches,
      everythingUntil: forEverything ? now + PEER_BLOCK_MS : before.everythingUntil,
    });
    this.#metrics.digestMismatches.inc({ peer: this.#labels.label(peerId), noticed });
    this.#logger.warn(
      { key, peer: peerId, origins, noticed, offences: mismatches.length, forEverything },
      'peer sent wrong bytes and is blocked',
    );
  }

  /** Blocks, for the key alone, one of several peers of which at least one sent wrong bytes. */
  unverified({ peerId, origins }: Provider, key: string): void {
    const before = this.#blocksOf(peerId);
    const keys = withKey(before.keys, key, this.#now() + UNVERIFIED_BLOCK_MS);
    this.#records.block(peerId, { ...before, origins, keys });
    this.#logger.warn(
      { key, peer: peerId, origins },
      'peer may have sent wrong bytes and is not asked for this key until it is verified again',
    );
  }

  /** Lifts the block for the key: the peer has the right bytes. */
  verified({ peerId }: Provider, key: string): void {
    const blocks = this.#records.peek(peerId)?.blocks;
    blocks?.keys.delete(key);
    if (blocks?.keys.size === 0 && blocks.mismatches.length === 0) this.#records.unblock(peerId);
    this.#logger.info({ key, peer: peerId }, 'peer has the right bytes and is no longer blocked');
  }

  /** The number of peers that are blocked now: for every key, and for some keys only. */
  count(): { everything: number; keys: number } {
    const all = this.#current();
    const everything = all.filter(({ forEverything }) => forEverything).length;
    return { everything, keys: all.length - everything };
  }

  /** The blocked peers, those that are blocked for every key first; no more than 50. */
  status(): BlockedPeer[] {
    const all = this.#current();
    return all
      .toSorted((one, other) => Number(other.forEverything) - Number(one.forEverything))
      .slice(0, MAX_LISTED);
  }

  #current(): BlockedPeer[] {
    const now = this.#now();
    const all = Array.from(this.#records.blocked(), ([peerId, blocks]) => ({
      peerId,
      origins: blocks.origins,
      offences: blocks.mismatches.filter((at) => at > now - MISMATCH_MEMORY_MS).length,
      keys: [...blocks.keys.values()].filter((until) => until > now).length,
      forEverything: blocks.everythingUntil > now,
    }));
    return all.filter(({ keys, forEverything }) => keys > 0 || forEverything);
  }

  #blocksOf(peerId: string): PeerBlocks {
    const blocks = this.#records.peek(peerId)?.blocks;
    return blocks ?? { origins: [], keys: new Map(), mismatches: [], everythingUntil: 0 };
  }
}

/** Adds the key, as the newest, or prolongs its block; of more than {@link MAX_KEYS} the oldest goes. */
function withKey(keys: Map<string, number>, key: string, until: number): Map<string, number> {
  const before = keys.get(key) ?? 0;
  keys.delete(key);
  keys.set(key, Math.max(before, until));
  const [oldest] = keys.keys();
  if (keys.size > MAX_KEYS && oldest !== undefined) keys.delete(oldest);
  return keys;
}
