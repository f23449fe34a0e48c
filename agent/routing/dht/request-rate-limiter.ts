import { LRUCache } from 'lru-cache';

/** Tokens in a full bucket: twice the records that one peer may store here. Storing a record costs one token. */
const BURST = 20_000;
/** Tokens that a bucket gains per second: a fifth of a core. A Spegel node that sends key by key stays below. */
const TOKENS_PER_SECOND = 20_000;
/** Upper bound for the buckets; the bucket of the peer that was idle for longest is dropped first. */
const MAX_PEERS = 10_000;

interface Bucket {
  tokens: number;
  /** When the tokens were counted, in milliseconds. */
  at: number;
}

/**
 * Bounds the work that one peer can cause: a token bucket per peer. It refuses no request. A request beyond the rate
 * is handled later, and the back-pressure of the peer's streams slows the peer down.
 */
export class RequestRateLimiter {
  // A limit by size, and not by number: with `max`, lru-cache reserves memory for all entries at once.
  readonly #buckets = new LRUCache<string, Bucket>({
    maxSize: MAX_PEERS,
    sizeCalculation: () => 1,
  });
  readonly #now: () => number;

  /** @param now milliseconds on a clock that never jumps; default `performance.now` */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Takes tokens from the peer's bucket. Returns the milliseconds to wait before the request is handled. */
  spend(peerId: string, tokens: number): number {
    const now = this.#now();
    let bucket = this.#buckets.get(peerId);
    if (bucket === undefined) {
      bucket = { tokens: BURST, at: now };
      this.#buckets.set(peerId, bucket);
    }
    const gained = ((now - bucket.at) / 1000) * TOKENS_PER_SECOND;
    bucket.tokens = Math.min(BURST, bucket.tokens + gained) - tokens;
    bucket.at = now;
    return bucket.tokens >= 0 ? 0 : (-bucket.tokens / TOKENS_PER_SECOND) * 1000;
  }
}
