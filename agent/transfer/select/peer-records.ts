import { LRUCache } from 'lru-cache';

import type { PeerBlocks } from './blocklist.ts';
import { PeerResponsiveness } from './peer-responsiveness.ts';
import { PeerScore } from './peer-score.ts';

/** Entries that are remembered: one for each peer, and one for each of its doubtful keys. */
const MAX_ENTRIES = 10_000;

/** Blocked peers that are remembered. Of more, the one that was blocked longest ago is forgotten. */
const MAX_BLOCKED = 1_000;

/** All that this node knows about one peer. */
export class PeerRecord {
  readonly responsiveness = new PeerResponsiveness();
  readonly score = new PeerScore();
  /** Its digest mismatches; most peers have none. */
  blocks: PeerBlocks | undefined;
}

/**
 * The records of all peers, by peer ID. Strangers can write DHT records that name any number of peers, so memory is
 * bounded; the record that was updated longest ago is forgotten first.
 *
 * Blocked peers have a segment of their own. Requests to other peers, however many, do not push them out.
 */
export class PeerRecords {
  // A limit by size, and not by number: with `max`, lru-cache reserves memory for all entries at once.
  readonly #recent = new LRUCache<string, PeerRecord>({
    maxSize: MAX_ENTRIES,
    sizeCalculation: ({ responsiveness }) => 1 + responsiveness.doubtfulKeys,
  });
  readonly #blocked = new LRUCache<string, PeerRecord>({
    maxSize: MAX_BLOCKED,
    sizeCalculation: () => 1,
    dispose: (record, peerId, reason) => {
      if (reason === 'evict') this.#evicted.push([peerId, record]);
    },
  });
  readonly #evicted: [string, PeerRecord][] = [];

  /** The record of the peer, if there is one; reading it does not make it newer. */
  peek(peerId: string): PeerRecord | undefined {
    return this.#blocked.peek(peerId) ?? this.#recent.peek(peerId);
  }

  /** Changes the record of the peer, or a new one, and makes it the newest. */
  update(peerId: string, change: (record: PeerRecord) => void): PeerRecord {
    const record = this.peek(peerId) ?? new PeerRecord();
    change(record);
    if (record.blocks !== undefined) return record;
    // lru-cache computes the size of an entry once: when it is added.
    this.#recent.delete(peerId);
    this.#recent.set(peerId, record);
    return record;
  }

  /** Moves the peer to the blocked ones, as the newest of them, and sets its blocks. */
  block(peerId: string, blocks: PeerBlocks): void {
    const record = this.peek(peerId) ?? new PeerRecord();
    record.blocks = blocks;
    this.#recent.delete(peerId);
    this.#blocked.delete(peerId);
    this.#blocked.set(peerId, record);
    for (const [evictedId, evicted] of this.#evicted.splice(0)) {
      evicted.blocks = undefined;
      this.#recent.set(evictedId, evicted);
    }
  }

  /** Moves the peer back to those that are not blocked. */
  unblock(peerId: string): void {
    const record = this.#blocked.peek(peerId);
    if (record === undefined) return;
    record.blocks = undefined;
    this.#blocked.delete(peerId);
    this.#recent.set(peerId, record);
  }

  /** Peers with a digest mismatch, the one that was blocked longest ago first. */
  *blocked(): Generator<readonly [peerId: string, blocks: PeerBlocks]> {
    for (const peerId of this.#blocked.rkeys()) {
      const blocks = this.#blocked.peek(peerId)?.blocks;
      if (blocks !== undefined) yield [peerId, blocks];
    }
  }
}
