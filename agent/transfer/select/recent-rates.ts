import { BoundedMap } from '../../timing/bounded-map.ts';

/** Peers whose rates are remembered: those that delivered last. */
const MAX_PEERS = 32;
/** How long a rate says something, in milliseconds: links and loads change. */
const RECENT_MS = 600_000;
/** Smallest body that counts, in bytes: a smaller one measures latency. */
const MIN_BYTES = 256 * 1024;
/** A body that was waited for so long counts whatever its size, in milliseconds. */
const MIN_MS = 1_000;
/** Slowest rate that counts, in bytes a second: of a peer that drips, the link is not the cause. */
const MIN_RATE = 32 * 1024;

/**
 * How fast bodies arrive here from peers that hold the content: the links of this node, and what else uses them. Each peer
 * counts once, so that a single one that is slow on purpose changes little.
 */
export class RecentRates {
  readonly #rates = new BoundedMap<string, { readonly rate: number; readonly at: number }>(
    MAX_PEERS,
  );
  readonly #now: () => number;

  /** @param now milliseconds on a clock that never jumps */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /**
   * Records a body, or the part of one that was given up.
   *
   * @param milliseconds for how long this node waited for the peer
   */
  note(peerId: string, bytes: number, milliseconds: number): void {
    if (bytes < MIN_BYTES && milliseconds < MIN_MS) return;
    const rate = (bytes * 1000) / Math.max(1, milliseconds);
    if (rate >= MIN_RATE) this.#rates.set(peerId, { rate, at: this.#now() });
  }

  /** The median over the peers, in bytes a second; undefined when none has delivered lately. */
  get typical(): number | undefined {
    const since = this.#now() - RECENT_MS;
    const rates: number[] = [];
    for (const [, { rate, at }] of this.#rates.entries()) if (at >= since) rates.push(rate);
    return rates.sort((a, b) => a - b)[rates.length >> 1];
  }
}
