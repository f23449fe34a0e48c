import { Backoff } from '../../timing/backoff.ts';
import { isAborted } from '../../timing/pause.ts';
import type { DhtClient } from '../dht/dht-client.ts';
import type { RoutingKey } from '../dht/key.ts';
import { MAX_WITHDRAWALS_PER_STREAM } from '../dht/withdraw-protocol.ts';
import type { WithdrawProtocol } from '../dht/withdraw-protocol.ts';
import type { DhtPeer } from '../node/membership.ts';
import { PeerRecords } from './peer-records.ts';
import { workOf } from './record-state.ts';

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
/** Attempts of a withdrawal before it is given up: the records expire, and other keys must be provided. */
const MAX_WITHDRAW_ATTEMPTS = 5;

export interface ProvideQueueComponents {
  readonly client: Pick<DhtClient, 'addProviders'>;
  readonly withdrawals: Pick<WithdrawProtocol, 'send'>;
  /** Runs an exchange as soon as the limit on exchanges allows it. */
  readonly limit: <T>(task: () => Promise<T>) => Promise<T>;
  /** Called for each chunk that a peer has confirmed, with the bytes sent and the time taken. */
  readonly onProvided: (records: number, bytes: number, seconds: number) => void;
  /** Called with the number of records that the peer has forgotten. */
  readonly onWithdrawn: (records: number) => void;
  readonly onFailure: (peer: DhtPeer, error: unknown) => void;
}

/**
 * Sends our records to one peer and withdraws them. {@link PeerRecords} has the state of each. There is one exchange
 * with the peer at a time, so that a withdrawal never overtakes the record that it withdraws.
 */
export class ProvideQueue {
  #peer: DhtPeer;
  readonly #components: ProvideQueueComponents;
  readonly #refreshMs: number;
  readonly #records = new PeerRecords();
  readonly #backoff = new Backoff(RETRY);
  #stopped = new AbortController();
  #withdrawAttempts = 0;
  #running: Promise<void> | undefined;
  #retry: NodeJS.Timeout | undefined;
  #refreshAt = Number.POSITIVE_INFINITY;

  constructor(peer: DhtPeer, components: ProvideQueueComponents, refreshMs: number) {
    this.#peer = peer;
    this.#components = components;
    this.#refreshMs = refreshMs;
  }

  /** Sends to these addresses of the peer from now on. */
  locate(peer: DhtPeer): void {
    this.#peer = peer;
  }

  /** Queues the record, unless the peer has it. */
  assign(key: RoutingKey): void {
    this.#records.apply(key, 'assign');
  }

  /** Queues the withdrawal of a record that the peer may have; whether there is one. */
  retract(key: RoutingKey): boolean {
    return workOf(this.#records.apply(key, 'retract')) === 'withdraw';
  }

  /** Lets the record expire: the peer is no longer among the closest to its key. */
  release(key: RoutingKey): void {
    this.#records.apply(key, 'release');
  }

  /** Queues all records again: they are about to expire, or our addresses have changed. */
  refresh(): void {
    this.#records.refresh();
    this.#refreshAt = Number.POSITIVE_INFINITY;
  }

  /** @param now milliseconds, as by `performance.now` */
  isDue(now: number): boolean {
    return now >= this.#refreshAt;
  }

  /**
   * Does all queued work. Resolves when it is done or has failed for the first time. After a failure the queue
   * retries, with growing pauses.
   */
  run(): Promise<void> {
    if (this.#running === undefined && this.#retry === undefined && this.#hasWork()) {
      const { signal } = this.#stopped;
      this.#running = this.#drain(signal).finally(() => {
        this.#running = undefined;
        // The queue may have been resumed since.
        if (signal.aborted) void this.run();
      });
    }
    return this.#running ?? Promise.resolve();
  }

  /** Ends the exchange that is under way, and begins no other until {@link resume}. */
  stop(): void {
    this.#stopped.abort();
    clearTimeout(this.#retry);
    this.#retry = undefined;
  }

  /** Allows exchanges again, and queues all records: a peer that was away may have lost them. */
  resume(): void {
    this.#stopped = new AbortController();
    this.#backoff.reset();
    this.#withdrawAttempts = 0;
    this.refresh();
  }

  #hasWork(): boolean {
    const count = this.#records.count('provide') + this.#records.count('withdraw');
    return count > 0 && !this.#stopped.signal.aborted;
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
    // The queue may have been stopped while the step waited for the limit.
    if (signal.aborted) return;
    const isWithdrawal = this.#records.count('withdraw') > 0;
    await (isWithdrawal ? this.#withdrawChunk(signal) : this.#provideChunk(signal));
  }

  /** Sends the latest keys first: those are the ones that another node may be waiting for. */
  async #provideChunk(signal: AbortSignal): Promise<void> {
    const chunk = this.#records.latestToProvide(RECORDS_PER_CHUNK);
    this.#records.applyAll(chunk, 'send');
    const started = performance.now();
    let bytes: number;
    try {
      bytes = await this.#components.client.addProviders(
        this.#peer,
        chunk.map(({ multihash }) => multihash),
        CHUNK_TIMEOUT_MS,
        signal,
      );
    } catch (error) {
      this.#records.applyAll(chunk, 'fail');
      throw error;
    }
    this.#records.applyAll(chunk, 'confirm');
    // Spread, so that peers that joined together are not refreshed together every time. Never later than the interval:
    // the records might expire before the refresh is done.
    const refreshAt = started + this.#refreshMs * (1 - Math.random() * REFRESH_SPREAD);
    this.#refreshAt = Math.min(this.#refreshAt, refreshAt);
    this.#components.onProvided(chunk.length, bytes, (performance.now() - started) / 1000);
  }

  async #withdrawChunk(signal: AbortSignal): Promise<void> {
    const chunk = this.#records.oldestToWithdraw(MAX_WITHDRAWALS_PER_STREAM);
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
    this.#records.applyAll(chunk, 'forget');
  }
}
