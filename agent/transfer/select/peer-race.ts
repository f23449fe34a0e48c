import type { Provider } from '../../routing/router.ts';
import { Backoff } from '../../timing/backoff.ts';
import { Deadline } from '../../timing/deadline.ts';
import { Wakeup } from '../../timing/wakeup.ts';
import type { ContentRequest } from '../../oci/content-request.ts';
import type { PeerAttempts } from './peer-attempts.ts';
import type { PeerResponse } from '../client/peer-client.ts';
import { PeerError } from '../client/peer-error.ts';
import { isFull } from '../client/peer-report.ts';
import type { ProviderSearch } from './provider-search.ts';
import { destroyQuietly } from '../../streams/destroy-quietly.ts';

/** Peers that are waited for at once, those apart that are late. */
const MAX_WIDTH = 32;

/** Peers that are asked at once, those that are late included; dead ones take a place until they time out. */
const MAX_AT_ONCE = 128;

/** Peers that are asked for the content itself at once; the others only say whether they have it. */
const MAX_FETCHES = 3;

/** How often holders are asked again when all of them are busy: some five seconds, where no budget ends it before. */
const MAX_RETURNS = 16;

/** The waits before that, in milliseconds. */
const RETURN_BACKOFF = { first: 25, most: 500 };

/** A peer that is delivering. */
export interface PeerStream {
  readonly provider: Provider;
  readonly response: PeerResponse;
}

interface Winner extends PeerStream {
  /** Whether it was asked because another was late. */
  readonly hedge: boolean;
}

/** What came of a race; see {@link ProviderSearch} for the two ways to find nobody. */
export type RaceResult =
  ({ readonly kind: 'source' } & PeerStream) | { readonly kind: 'exhausted' | 'timeout' };

interface Attempt {
  readonly provider: Provider;
  /** Whether the content itself is asked for, and not only whether the peer has it. */
  readonly fetches: boolean;
  /** Whether it has one of the slots that all requests share. */
  readonly slot: boolean;
  /** Whether it is asked because another is late. */
  readonly hedge: boolean;
  readonly cancel: AbortController;
  /** Nobody waits for it any longer; it may win all the same. */
  late: boolean;
}

/**
 * Asks one peer after another, then several beside each other, until one answers well.
 *
 * The first is asked for the content. With each that fails or is late, one more is asked at the same time: 1,
 * 2, 4, 8. These are asked by HEAD whether they have it, which costs a holder next to nothing and does not
 * cost the connection, and the content is then asked of the first that has. So however many records are out of
 * date, and whatever dead nodes stand between, the request gets to whoever does hold the content. When all holders
 * are busy they are asked again after a while, and so is the directory, since others may hold it by then.
 */
export class PeerRace implements Disposable {
  readonly #attempts: PeerAttempts;
  readonly #request: ContentRequest;
  readonly #signal: AbortSignal;
  readonly #inTime: AbortSignal;
  readonly #search: ProviderSearch;
  readonly #wakeup = new Wakeup();
  readonly #running = new Set<Attempt>();
  /** Those that said that they have the content, and have not been asked for it yet. */
  readonly #holders: Provider[] = [];
  readonly #winners: Winner[] = [];
  /** Those that have the content and too much to do. */
  readonly #busy: Provider[] = [];
  readonly #return = new Backoff(RETURN_BACKOFF);
  #returns = 0;
  #width = 1;
  /** Whether a peer is late, and those asked since are hedges. */
  #hedging = false;
  #hedged = false;

  /**
   * @param request what the peers are asked, with the range that is wanted of them
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
    this.#search = attempts.search(() => {
      this.#wakeup.call();
    }, inTime);
  }

  /**
   * The next good answer; all other attempts are cancelled then. To be called again when its body turned out
   * to be bad. Its attempt ends with `signal`, or when the body is destroyed.
   */
  async next(): Promise<RaceResult> {
    for (;;) {
      const winner = this.#winners.shift();
      if (winner !== undefined) {
        this.#cancelAll();
        this.#countHedges(winner);
        // Whoever comes back for another one has found this one bad.
        this.#widen();
        const { provider, response } = winner;
        return { kind: 'source', provider, response };
      }
      if (this.#inTime.aborted) {
        if (!this.#signal.aborted) this.#giveUpLate();
        this.#cancelAll();
        return { kind: 'timeout' };
      }

      this.#askMore();
      if (this.#mayReturn() && ![...this.#running].some(isAwaited)) {
        await this.#returnToBusy();
      } else if (this.#running.size > 0) {
        await this.#wakeup.wait(this.#inTime);
      } else {
        const found = this.#attempts.exhausted ? 'exhausted' : await this.#search.wait();
        if (found !== 'provider') return { kind: found };
      }
    }
  }

  [Symbol.dispose](): void {
    this.#cancelAll();
    this.#search[Symbol.dispose]();
  }

  #mayReturn(): boolean {
    return this.#busy.length > 0 && this.#returns < MAX_RETURNS && !this.#attempts.exhausted;
  }

  /** Waits for news, and when there are none for a while those that were busy may be asked again. */
  async #returnToBusy(): Promise<void> {
    using due = new Deadline(this.#return.next(), this.#inTime);
    await this.#wakeup.wait(due.signal);
    if (!due.signal.aborted || this.#inTime.aborted) return;
    this.#returns += 1;
    for (const provider of this.#busy.splice(0)) this.#search.putBack(provider);
    this.#search.again();
  }

  #countHedges({ hedge }: Winner): void {
    if (this.#hedged) this.#attempts.hedged(hedge ? 'won' : 'lost');
    this.#hedging = false;
    this.#hedged = false;
  }

  #askMore(): void {
    while (this.#running.size < MAX_AT_ONCE && !this.#attempts.exhausted) {
      const fetching = [...this.#running].filter(({ fetches }) => fetches);
      if (fetching.some(isAwaited)) return;
      if (this.#holders.length > 0 && fetching.length >= MAX_FETCHES) return;

      const slot = this.#running.size > 0;
      if (slot && !this.#attempts.slots.take()) return;
      const holder = this.#takeHolder();
      const provider = holder ?? this.#takeCandidate();
      if (provider === undefined) {
        if (slot) this.#attempts.slots.giveBack();
        return;
      }
      const first = this.#width === 1 && this.#running.size === 0;
      const fetches = this.#request.method === 'GET' && (first || holder !== undefined);
      const late = this.#attempts.isDoubtful(provider);
      const hedge = this.#hedging;
      this.#hedged ||= hedge;
      void this.#run({ provider, fetches, slot, hedge, cancel: new AbortController(), late });
    }
  }

  #takeHolder(): Provider | undefined {
    const holder = this.#attempts.choose(this.#holders);
    if (holder !== undefined) this.#holders.splice(this.#holders.indexOf(holder), 1);
    return holder;
  }

  /** Doubtful peers come last, and nobody waits for them. */
  #takeCandidate(): Provider | undefined {
    if ([...this.#running].filter(isAwaited).length >= this.#width) return undefined;
    const found = this.#search.take((provider) => !this.#attempts.isDoubtful(provider));
    if (found !== undefined || this.#running.size >= this.#width) return found;
    return this.#search.take();
  }

  /** Never rejects. */
  async #run(attempt: Attempt): Promise<void> {
    const { provider, fetches, hedge, cancel } = attempt;
    const request = fetches ? this.#request : ({ ...this.#request, method: 'HEAD' } as const);
    this.#running.add(attempt);
    const signal = AbortSignal.any([this.#signal, cancel.signal]);
    const timer = setTimeout(() => {
      this.#hedging ||= !attempt.late;
      attempt.late = true;
      this.#attempts.late(provider);
      this.#widen();
    }, this.#attempts.lateAfter(request.method));
    try {
      const response = await this.#attempts.ask(provider, request, signal);
      if (signal.aborted) destroyQuietly(response.body);
      else if (request.method === this.#request.method) {
        this.#winners.push({ provider, response, hedge });
      } else if (isFull(response.report)) this.#turnedAway(provider, busyHolder(response));
      else this.#holders.push(provider);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof PeerError && error.reason === 'busy') {
        this.#turnedAway(provider, error);
      } else {
        this.#attempts.missed(provider, error);
        this.#widen();
      }
    } finally {
      clearTimeout(timer);
      this.#remove(attempt);
      this.#wakeup.call();
    }
  }

  /** Whom a busy peer names is asked too; it may be asked itself again. */
  #turnedAway(provider: Provider, failure: PeerError): void {
    this.#attempts.busy(provider, failure);
    this.#busy.push(provider);
    for (const other of this.#attempts.alternatives(failure)) this.#search.offer(other);
  }

  #widen(): void {
    this.#width = Math.min(this.#width + 1, MAX_WIDTH);
    this.#wakeup.call();
  }

  #remove(attempt: Attempt): void {
    if (this.#running.delete(attempt) && attempt.slot) this.#attempts.slots.giveBack();
  }

  #giveUpLate(): void {
    for (const attempt of this.#running) {
      if (!attempt.late) continue;
      this.#remove(attempt);
      attempt.cancel.abort();
      this.#attempts.missed(attempt.provider, this.#inTime.reason);
    }
  }

  /** Cancelled peers may be asked again, should the winner turn out to be bad. */
  #cancelAll(): void {
    for (const attempt of this.#running) {
      this.#remove(attempt);
      attempt.cancel.abort();
      this.#search.putBack(attempt.provider);
    }
    for (const { provider, response } of this.#winners.splice(0)) {
      destroyQuietly(response.body);
      this.#holders.push(provider);
    }
  }
}

/** A peer that has the content, and says by the way that it would refuse to send it. */
function busyHolder({ report }: PeerResponse): PeerError {
  const failure = new PeerError('busy', 'peer has it and is busy');
  failure.report = report;
  return failure;
}

function isAwaited({ late }: Attempt): boolean {
  return !late;
}
