import type { Provider } from '../routing/router.ts';
import { Wakeup } from '../timing/wakeup.ts';
import type { ContentRequest } from './content-request.ts';
import type { PeerAttempts } from './peer-attempts.ts';
import type { PeerResponse } from './peer-client.ts';
import type { ProviderSearch } from './provider-search.ts';

/** A peer without an answer for so long, in milliseconds, is late: others are asked beside it. */
const LATE_MS = 100;

/** Peers that are waited for at once, those apart that are late. */
const MAX_WIDTH = 32;

/** Peers that are asked at once, those that are late included; dead ones take a place until they time out. */
const MAX_AT_ONCE = 128;

/** Peers that are asked for the content itself at once; the others only say whether they have it. */
const MAX_FETCHES = 3;

/** A peer that is delivering. */
export interface Source {
  readonly provider: Provider;
  readonly response: PeerResponse;
}

/** What came of a race; see {@link ProviderSearch} for the two ways to find nobody. */
export type RaceResult =
  ({ readonly kind: 'source' } & Source) | { readonly kind: 'exhausted' | 'timeout' };

interface Attempt {
  readonly provider: Provider;
  /** Whether the content itself is asked for, and not only whether the peer has it. */
  readonly fetches: boolean;
  /** Whether it has one of the slots that all requests share. */
  readonly slot: boolean;
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
 * date, and whatever dead nodes stand between, the request gets to whoever does hold the content.
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
  readonly #winners: Source[] = [];
  #width = 1;

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
        // Whoever comes back for another one has found this one bad.
        this.#widen();
        return { kind: 'source', ...winner };
      }
      if (this.#inTime.aborted) {
        if (!this.#signal.aborted) this.#giveUpLate();
        this.#cancelAll();
        return { kind: 'timeout' };
      }

      this.#askMore();
      if (this.#running.size > 0) {
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

  #askMore(): void {
    while (this.#running.size < MAX_AT_ONCE && !this.#attempts.exhausted) {
      const fetching = [...this.#running].filter(({ fetches }) => fetches);
      if (fetching.some(isAwaited)) return;
      if (this.#holders.length > 0 && fetching.length >= MAX_FETCHES) return;

      const slot = this.#running.size > 0;
      if (slot && !this.#attempts.slots.take()) return;
      const holder = this.#holders.shift();
      const provider = holder ?? this.#takeCandidate();
      if (provider === undefined) {
        if (slot) this.#attempts.slots.giveBack();
        return;
      }
      const first = this.#width === 1 && this.#running.size === 0;
      const fetches = this.#request.method === 'GET' && (first || holder !== undefined);
      const late = this.#attempts.isDoubtful(provider);
      void this.#run({ provider, fetches, slot, cancel: new AbortController(), late });
    }
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
    const { provider, fetches, cancel } = attempt;
    this.#running.add(attempt);
    const signal = AbortSignal.any([this.#signal, cancel.signal]);
    const timer = setTimeout(() => {
      attempt.late = true;
      this.#attempts.late(provider);
      this.#widen();
    }, LATE_MS);
    try {
      const request = fetches ? this.#request : ({ ...this.#request, method: 'HEAD' } as const);
      const response = await this.#attempts.ask(provider, request, signal);
      if (signal.aborted) response.body.on('error', () => undefined).destroy();
      else if (request.method === this.#request.method) this.#winners.push({ provider, response });
      else this.#holders.push(provider);
    } catch (error) {
      if (signal.aborted) return;
      this.#attempts.missed(provider, error);
      this.#widen();
    } finally {
      clearTimeout(timer);
      this.#remove(attempt);
      this.#wakeup.call();
    }
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
      response.body.on('error', () => undefined).destroy();
      this.#holders.push(provider);
    }
  }
}

function isAwaited({ late }: Attempt): boolean {
  return !late;
}
