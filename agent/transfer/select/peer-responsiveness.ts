/** How long a late peer, and a key that a peer lacks or failed to deliver, count as doubtful, in milliseconds. */
const MEMORY_MS = 10_000;

/** How long a silent peer counts as doubtful, in milliseconds: DHT records may name it for many minutes. */
const SILENCE_MEMORY_MS = 60_000;

/** Requests that wait for one peer at the same time find it silent within this time, in milliseconds: that counts once. */
const SAME_SILENCE_MS = 100;

/** Doubtful keys that are remembered for one peer. Of more, the oldest is forgotten. */
const MAX_KEYS = 100;

/**
 * What was found last about a peer.
 *
 * `responsive`: it answered. `late`: it took longer than most peers take, and may still answer. `silent`: it cannot be
 * reached, or did not answer within its timeout.
 */
type Finding =
  | { readonly state: 'responsive' | 'late'; readonly until: number }
  | {
      readonly state: 'silent';
      readonly until: number;
      /** How often in a row the peer was silent. */
      readonly times: number;
      /** When the peer was found silent last. */
      readonly at: number;
      /** When a request last gave the peer the whole timeout. */
      readonly fullTimeoutAt: number;
    };

/**
 * Whether one peer answers, as the requests of this node found out in the last seconds. They share it: DHT records
 * outlive the nodes that wrote them and the content that these held, and without it each of many concurrent requests
 * would lose time to the same dead node. With it, one request tries an unknown peer, and the others turn to peers
 * that answer.
 *
 * `now` is in milliseconds on a clock that never jumps.
 */
export class PeerResponsiveness {
  #finding: Finding | undefined;
  /** Until when the peer is doubtful for each key; absent while there is none, as for most peers. */
  #doubtfulKeys: Map<string, number> | undefined;
  /** Requests that wait for the peer's answer. */
  #waiting = 0;

  /** A request begins to wait for the peer's answer. Each call must be followed by one of {@link stopsWaiting}. */
  startsWaiting(): void {
    this.#waiting += 1;
  }

  /** A request no longer waits for the peer's answer. */
  stopsWaiting(): void {
    this.#waiting -= 1;
  }

  /** Records that the peer answered, and whether it holds the content of the key. */
  answered(key: string, holds: boolean, now: number): void {
    this.#finding = { state: 'responsive', until: now + MEMORY_MS };
    if (holds) this.#doubtfulKeys?.delete(key);
    else this.#doubt(key, now);
  }

  /** Records that the peer did not deliver the content of the key as it should: other peers are asked for it first. */
  failed(key: string, now: number): void {
    this.#doubt(key, now);
  }

  /** Records that the peer has not answered in the time that most peers need. */
  late(now: number): void {
    if (this.#current(now)?.state === 'silent') return;
    this.#finding = { state: 'late', until: now + MEMORY_MS };
  }

  /** Records that the peer cannot be reached, or did not answer within its timeout. */
  silent(now: number): void {
    const current = this.#current(now);
    const before = current?.state === 'silent' ? current : undefined;
    const isSameSilence = before !== undefined && now - before.at < SAME_SILENCE_MS;
    this.#finding = {
      state: 'silent',
      until: now + SILENCE_MEMORY_MS,
      times: (before?.times ?? 0) + (isSameSilence ? 0 : 1),
      at: now,
      fullTimeoutAt: before?.fullTimeoutAt ?? now,
    };
  }

  /**
   * How often in a row the peer was silent; 0 when it is not. Every ten seconds one caller gets 1 however often it
   * was, and so gives the peer a longer timeout: otherwise a slow peer that is alive could never answer in time.
   */
  takeSilences(now: number): number {
    const finding = this.#current(now);
    if (finding?.state !== 'silent') return 0;
    if (now - finding.fullTimeoutAt < MEMORY_MS) return finding.times;
    this.#finding = { ...finding, fullTimeoutAt: now };
    return 1;
  }

  /**
   * Whether other peers are asked for the key before this one, and no request waits for it alone. This is true too of
   * a peer about which nothing is known while another request waits for its answer.
   */
  isDoubtful(key: string, now: number): boolean {
    if ((this.#doubtfulKeys?.get(key) ?? 0) > now) return true;
    const finding = this.#current(now);
    if (finding === undefined) return this.#waiting > 0;
    return finding.state !== 'responsive';
  }

  /** Doubtful keys that take memory. */
  get doubtfulKeys(): number {
    return this.#doubtfulKeys?.size ?? 0;
  }

  #current(now: number): Finding | undefined {
    return this.#finding !== undefined && this.#finding.until > now ? this.#finding : undefined;
  }

  #doubt(key: string, now: number): void {
    const keys = (this.#doubtfulKeys ??= new Map());
    keys.delete(key);
    keys.set(key, now + MEMORY_MS);
    // All entries last equally long, so that the oldest comes first.
    for (const [oldest, until] of keys) {
      if (until > now && keys.size <= MAX_KEYS) break;
      keys.delete(oldest);
    }
  }
}
