/** What a peer may ask for at once, in records to be stored: all that one holds, twice. */
const BURST = 20_000;
/** What it may ask for over time: a fifth of a core, and a node of Spegel that sends key by key stays below. */
const PER_SECOND = 20_000;
/** Peers remembered; a peer is forgotten when it has its whole budget again. */
const MAX_PEERS = 10_000;

interface Account {
  tokens: number;
  /** When they were counted. */
  at: number;
}

/**
 * How much of this node's time each peer may take for its requests: a token bucket a peer. Nobody is refused;
 * who asks faster is read later, and the back-pressure of its streams does the rest.
 */
export class RequestRateLimiter {
  readonly #accounts = new Map<string, Account>();
  readonly #now: () => number;

  /** @param now milliseconds on a clock that never jumps */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Takes from the peer's budget; the milliseconds to wait before the request is handled. */
  spend(peerId: string, cost: number): number {
    const now = this.#now();
    const account = this.#accounts.get(peerId) ?? { tokens: BURST, at: now };
    const earned = ((now - account.at) / 1000) * PER_SECOND;
    account.tokens = Math.min(BURST, account.tokens + earned) - cost;
    account.at = now;
    if (!this.#accounts.has(peerId)) this.#open(peerId, account);
    return account.tokens >= 0 ? 0 : (-account.tokens / PER_SECOND) * 1000;
  }

  #open(peerId: string, account: Account): void {
    if (this.#accounts.size >= MAX_PEERS) {
      const [oldest] = this.#accounts.keys();
      if (oldest !== undefined) this.#accounts.delete(oldest);
    }
    this.#accounts.set(peerId, account);
  }
}
