import { Backoff } from '../../timing/backoff.ts';
import { isAborted } from '../../timing/pause.ts';
import type { DhtClient } from '../dht/dht-client.ts';
import type { RoutingKey } from '../dht/key.ts';
import type { DhtPeer } from '../node/membership.ts';
import { MAX_WITHDRAWALS_PER_STREAM } from '../dht/withdraw-protocol.ts';
import type { WithdrawProtocol } from '../dht/withdraw-protocol.ts';

/**
 * Records sent before the peer has confirmed those before them. A peer resets a stream with more than 4 MiB
 * unread. A key that is added in the middle of a sweep goes with the peer's next chunk: after one round trip
 * when the peer answers, but only after {@link CHUNK_TIMEOUT_MS} and a pause when it does not.
 */
const RECORDS_PER_CHUNK = 500;
/** How long a peer may take for a chunk. */
const CHUNK_TIMEOUT_MS = 10_000;
const RETRY = { first: 500, max: 60_000 };
/** Part of the refresh interval that a refresh may come early. */
const REFRESH_SPREAD = 0.1;
/** After that a withdrawal is given up: the records expire, and placing others must go on. */
const MAX_WITHDRAW_ATTEMPTS = 5;

/** What {@link ProvideQueue} works with. */
export interface ProvideQueueComponents {
  readonly client: DhtClient;
  readonly withdrawals: WithdrawProtocol;
  /** Runs an exchange when there is room for one. */
  readonly limit: <T>(task: () => Promise<T>) => Promise<T>;
  /** Told of each chunk that a peer has confirmed, the bytes it took and the time. */
  readonly onPlaced: (records: number, bytes: number, seconds: number) => void;
  /** Told of records that the peer has forgotten. */
  readonly onWithdrawn: (records: number) => void;
  readonly onFailure: (peer: DhtPeer, error: unknown) => void;
}

/**
 * Our records with one peer: which it has, which it is still to get, which to forget. Exchanges with the
 * peer happen one after another, so that a withdrawal never overtakes the placement that it takes back.
 */
export class ProvideQueue {
  readonly #peer: DhtPeer;
  readonly #components: ProvideQueueComponents;
  readonly #refreshMs: number;
  readonly #placed = new Set<RoutingKey>();
  /** Records that the peer got and that others are to keep now: not renewed, but still to be taken back. */
  readonly #surplus = new Set<RoutingKey>();
  readonly #toPlace = new Set<RoutingKey>();
  readonly #toWithdraw = new Set<RoutingKey>();
  readonly #backoff = new Backoff(RETRY);
  #stopped = new AbortController();
  #withdrawAttempts = 0;
  #sending: ReadonlySet<RoutingKey> = new Set();
  #running: Promise<void> | undefined;
  #retry: NodeJS.Timeout | undefined;
  #refreshAt = Number.POSITIVE_INFINITY;

  constructor(peer: DhtPeer, components: ProvideQueueComponents, refreshMs: number) {
    this.#peer = peer;
    this.#components = components;
    this.#refreshMs = refreshMs;
  }

  /** The peer is to have the record. */
  assign(key: RoutingKey): void {
    this.#toWithdraw.delete(key);
    this.#surplus.delete(key);
    if (!this.#placed.has(key) && !this.#sending.has(key)) this.#toPlace.add(key);
  }

  /** The peer is to forget the record, if it ever got it. Whether there is anything to tell it. */
  retract(key: RoutingKey): boolean {
    this.#toPlace.delete(key);
    const placed = this.#placed.delete(key);
    const surplus = this.#surplus.delete(key);
    if (!placed && !surplus && !this.#sending.has(key)) return false;
    this.#toWithdraw.add(key);
    return true;
  }

  /** The peer is no longer one that keeps the record: what it has of it may expire. */
  release(key: RoutingKey): void {
    this.#toPlace.delete(key);
    if (this.#placed.delete(key)) this.#surplus.add(key);
  }

  /** All records are to be placed again: they get old, or our addresses have changed. */
  refresh(): void {
    this.#surplus.clear();
    for (const key of this.#placed) this.#toPlace.add(key);
    this.#refreshAt = Number.POSITIVE_INFINITY;
  }

  isDue(now: number): boolean {
    return now >= this.#refreshAt;
  }

  /**
   * Does what there is to do; resolves when it is done or has failed for the first time. After a failure it
   * goes on by itself, later and later.
   */
  run(): Promise<void> {
    if (this.#running === undefined && this.#retry === undefined && this.#hasWork()) {
      const { signal } = this.#stopped;
      this.#running = this.#drain(signal).finally(() => {
        this.#running = undefined;
        // It may have been resumed since.
        if (signal.aborted) void this.run();
      });
    }
    return this.#running ?? Promise.resolve();
  }

  /** Ends what is under way, and begins nothing any more until {@link resume}. */
  stop(): void {
    this.#stopped.abort();
    clearTimeout(this.#retry);
    this.#retry = undefined;
  }

  /** The peer is back: it may have lost its records, and has not heard of withdrawals since. */
  resume(): void {
    this.#stopped = new AbortController();
    this.#backoff.reset();
    this.#withdrawAttempts = 0;
    this.refresh();
  }

  #hasWork(): boolean {
    return this.#toPlace.size + this.#toWithdraw.size > 0 && !this.#stopped.signal.aborted;
  }

  async #drain(signal: AbortSignal): Promise<void> {
    while (this.#hasWork() && !isAborted(signal)) {
      try {
        await this.#components.limit(() => this.#step(signal));
        this.#backoff.reset();
      } catch (error) {
        if (isAborted(signal)) return;
        this.#components.onFailure(this.#peer, error);
        this.#retry = setTimeout(() => {
          this.#retry = undefined;
          void this.run();
        }, this.#backoff.next());
        return;
      }
    }
  }

  async #step(signal: AbortSignal): Promise<void> {
    // It may have been stopped while it waited for its turn.
    if (signal.aborted) return;
    await (this.#toWithdraw.size > 0 ? this.#withdrawChunk(signal) : this.#placeChunk(signal));
  }

  /** The newest first: they are the ones that somebody may be waiting for. */
  async #placeChunk(signal: AbortSignal): Promise<void> {
    const chunk = new Set([...this.#toPlace].slice(-RECORDS_PER_CHUNK));
    for (const key of chunk) this.#toPlace.delete(key);
    this.#sending = chunk;
    const started = performance.now();
    let bytes: number;
    try {
      bytes = await this.#components.client.addProviders(
        this.#peer,
        Array.from(chunk, ({ multihash }) => multihash),
        CHUNK_TIMEOUT_MS,
        signal,
      );
    } catch (error) {
      for (const key of chunk) {
        // A record that is to be withdrawn may have arrived all the same.
        if (!this.#toWithdraw.has(key)) this.#toPlace.add(key);
      }
      throw error;
    } finally {
      this.#sending = new Set();
    }
    for (const key of chunk) {
      if (!this.#toWithdraw.has(key)) this.#placed.add(key);
    }
    // Spread, so that peers that came together are not refreshed together for ever; never later than the
    // interval, or the records might be gone before the refresh is through.
    const refreshAt = started + this.#refreshMs * (1 - Math.random() * REFRESH_SPREAD);
    this.#refreshAt = Math.min(this.#refreshAt, refreshAt);
    this.#components.onPlaced(chunk.size, bytes, (performance.now() - started) / 1000);
  }

  async #withdrawChunk(signal: AbortSignal): Promise<void> {
    const chunk = [...this.#toWithdraw].slice(0, MAX_WITHDRAWALS_PER_STREAM);
    const multihashes = chunk.map(({ multihash }) => multihash);
    this.#withdrawAttempts++;
    try {
      const { withdrawals, onWithdrawn } = this.#components;
      const understood = await withdrawals.send(this.#peer, multihashes, CHUNK_TIMEOUT_MS, signal);
      if (understood) onWithdrawn(chunk.length);
    } catch (error) {
      if (signal.aborted || this.#withdrawAttempts < MAX_WITHDRAW_ATTEMPTS) throw error;
    }
    this.#withdrawAttempts = 0;
    for (const key of chunk) this.#toWithdraw.delete(key);
  }
}
