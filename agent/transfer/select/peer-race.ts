import type { ContentRequest } from '../../oci/content-request.ts';
import type { Provider } from '../../routing/router.ts';
import { destroyQuietly } from '../../streams/destroy-quietly.ts';
import { Wakeup } from '../../timing/wakeup.ts';
import type { PeerResponse } from '../client/peer-client.ts';
import { PeerError } from '../client/peer-error.ts';
import { isFull } from '../client/peer-report.ts';
import { Hedging } from './hedging.ts';
import type { PeerAttempts } from './peer-attempts.ts';
import type { ProviderSearch } from './provider-search.ts';
import { RaceAttempts, type Attempt } from './race-attempts.ts';
import { busyHolder, ReturnToBusy } from './return-to-busy.ts';

/** Peers that a race waits for at once, late ones not included. */
const MAX_WIDTH = 32;

/** A peer that delivers. */
export interface PeerStream {
  readonly provider: Provider;
  readonly response: PeerResponse;
}

type Winner = PeerStream & Pick<Attempt, 'cause'>;

/** What came of a race; see {@link SearchResult} for the two ways to find no peer. */
export type RaceResult =
  ({ readonly kind: 'peer-stream' } & PeerStream) | { readonly kind: 'exhausted' | 'timeout' };

/**
 * What a race does next: it ends with an answer or for lack of time; it waits for its attempts, for busy holders, or
 * for providers; or no peer is left to ask.
 */
type RaceState =
  | { readonly kind: 'won'; readonly winner: Winner }
  | { readonly kind: 'out-of-time' | 'asking' | 'all-busy' | 'searching' | 'exhausted' };

/**
 * Asks one peer after another, then several at once, until one answers well.
 *
 * The first peer is asked for the content. Each peer that fails or is late raises by one the number of peers that the
 * race waits for at once, up to 32. These are probed by HEAD, which costs a holder almost nothing; the content is then
 * asked of the first that holds it. So the request reaches a holder whatever stale records and dead nodes stand between.
 * When all holders are busy they are asked again after a while, see {@link ReturnToBusy}.
 */
export class PeerRace implements Disposable {
  readonly #attempts: PeerAttempts;
  readonly #request: ContentRequest;
  readonly #signal: AbortSignal;
  readonly #inTime: AbortSignal;
  readonly #search: ProviderSearch;
  readonly #news = new Wakeup();
  readonly #running: RaceAttempts;
  /** Peers that answered a probe with yes, and have not been asked for the content yet. */
  readonly #holders: Provider[] = [];
  readonly #winners: Winner[] = [];
  readonly #hedging = new Hedging();
  readonly #returnToBusy: ReturnToBusy;
  #width = 1;
  #isOver = false;

  /**
   * @param request what to ask the peers for, with the range that is wanted of them
   * @param signal ends everything, the body of the winner included
   * @param inTime ends the search for a winner
   */
  constructor(
    attempts: PeerAttempts,
    request: ContentRequest,
    signal: AbortSignal,
    inTime: AbortSignal = signal,
  ) {
    this.#attempts = attempts;
    this.#request = request;
    this.#signal = signal;
    this.#inTime = inTime;
    this.#running = new RaceAttempts(attempts.slots);
    this.#search = attempts.search(() => {
      this.#news.call();
    }, inTime);
    this.#returnToBusy = new ReturnToBusy(attempts, this.#search);
  }

  /** Waits for the next good answer, and cancels all other attempts. Call it again when the body turns out to be bad. */
  async next(): Promise<RaceResult> {
    for (;;) {
      const state = this.#advance();
      switch (state.kind) {
        case 'won':
          return this.#accept(state.winner);
        case 'out-of-time':
          this.#endLate();
          return { kind: 'timeout' };
        case 'asking':
          await this.#news.wait(this.#inTime);
          break;
        case 'all-busy':
          await this.#returnToBusy.wait(this.#news, this.#inTime);
          break;
        case 'searching': {
          const found = await this.#search.wait();
          if (found !== 'provider') return { kind: found };
          break;
        }
        case 'exhausted':
          return { kind: 'exhausted' };
      }
    }
  }

  /** Ends all attempts. A call of {@link next} that still waits finds no peer. */
  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#cancelAll();
    this.#search[Symbol.dispose]();
    this.#news.call();
  }

  #advance(): RaceState {
    if (this.#isOver) return { kind: 'exhausted' };
    const winner = this.#winners.shift();
    if (winner !== undefined) return { kind: 'won', winner };
    if (this.#inTime.aborted) return { kind: 'out-of-time' };
    this.#askMore();
    if (this.#returnToBusy.isPossible && this.#running.inPhase('awaited').length === 0) {
      return { kind: 'all-busy' };
    }
    if (this.#running.size > 0) return { kind: 'asking' };
    return { kind: this.#attempts.exhausted ? 'exhausted' : 'searching' };
  }

  #accept({ provider, response, cause }: Winner): RaceResult {
    this.#cancelAll();
    const hedged = this.#hedging.won(cause);
    if (hedged !== undefined) this.#attempts.hedged(hedged);
    // If this answer turns out to be bad, the caller comes back: one more failure.
    this.#widen();
    return { kind: 'peer-stream', provider, response };
  }

  #askMore(): void {
    while (!this.#attempts.exhausted) {
      if (!this.#running.mayAsk(this.#holders.length > 0)) return;
      const permit = this.#running.acquire();
      if (permit === undefined) return;
      const holder = this.#takeHolder();
      const provider = holder ?? this.#takeCandidate();
      if (provider === undefined) {
        this.#running.release(permit);
        return;
      }
      const isFirst = this.#width === 1 && this.#running.size === 0;
      const wantsContent = this.#request.method === 'GET' && (isFirst || holder !== undefined);
      void this.#run({
        provider,
        purpose: wantsContent ? 'content' : 'probe',
        cause: this.#hedging.next(),
        permit,
        cancel: new AbortController(),
        phase: this.#attempts.isDoubtful(provider) ? 'late' : 'awaited',
      });
    }
  }

  #takeHolder(): Provider | undefined {
    const holder = this.#attempts.choose(this.#holders);
    if (holder !== undefined) this.#holders.splice(this.#holders.indexOf(holder), 1);
    return holder;
  }

  /** Doubtful peers come last, and the race does not wait for them. */
  #takeCandidate(): Provider | undefined {
    if (this.#running.inPhase('awaited').length >= this.#width) return undefined;
    const found = this.#search.take((provider) => !this.#attempts.isDoubtful(provider));
    if (found !== undefined || this.#running.size >= this.#width) return found;
    return this.#search.take();
  }

  /** Never rejects. */
  async #run(attempt: Attempt): Promise<void> {
    const { provider, purpose, cause, cancel } = attempt;
    const request =
      purpose === 'content' ? this.#request : ({ ...this.#request, method: 'HEAD' } as const);
    this.#running.begin(attempt);
    const signal = AbortSignal.any([this.#signal, cancel.signal]);
    const timer = setTimeout(() => {
      this.#isLate(attempt);
    }, this.#attempts.lateAfter(request.method));
    try {
      const response = await this.#attempts.ask(provider, request, signal);
      if (signal.aborted) destroyQuietly(response.body);
      else if (request.method === this.#request.method) {
        this.#winners.push({ provider, response, cause });
      } else if (isFull(response.report)) this.#isBusy(provider, busyHolder(response));
      else this.#holders.push(provider);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof PeerError && error.reason === 'busy') {
        this.#isBusy(provider, error);
      } else {
        this.#attempts.missed(provider, error);
        this.#widen();
      }
    } finally {
      clearTimeout(timer);
      this.#running.end(attempt);
      this.#news.call();
    }
  }

  #isLate(attempt: Attempt): void {
    if (attempt.phase === 'awaited') {
      this.#hedging.peerIsLate();
      attempt.phase = 'late';
    }
    this.#attempts.late(attempt.provider);
    this.#widen();
  }

  /** The peers that a busy one names are asked too; it may be asked again itself. */
  #isBusy(provider: Provider, failure: PeerError): void {
    this.#attempts.busy(provider, failure);
    for (const other of this.#attempts.alternatives(failure)) this.#search.offer(other);
  }

  #widen(): void {
    this.#width = Math.min(this.#width + 1, MAX_WIDTH);
    this.#news.call();
  }

  /** The time is over: late peers count as failed, unless the request itself has ended. */
  #endLate(): void {
    if (!this.#signal.aborted) {
      for (const attempt of this.#running.inPhase('late')) {
        this.#running.cancel(attempt);
        this.#attempts.missed(attempt.provider, this.#inTime.reason);
      }
    }
    this.#cancelAll();
  }

  /** Cancelled peers may be asked again, if the winner turns out to be bad. */
  #cancelAll(): void {
    for (const { provider } of this.#running.cancelAll()) this.#search.putBack(provider);
    for (const { provider, response } of this.#winners.splice(0)) {
      destroyQuietly(response.body);
      this.#holders.push(provider);
    }
  }
}
