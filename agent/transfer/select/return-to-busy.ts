import { Backoff } from '../../timing/backoff.ts';
import { Deadline } from '../../timing/deadline.ts';
import type { Wakeup } from '../../timing/wakeup.ts';
import type { PeerResponse } from '../client/peer-client.ts';
import { PeerError } from '../client/peer-error.ts';
import type { PeerAttempts } from './peer-attempts.ts';
import type { ProviderSearch } from './provider-search.ts';

/** How often a race asks busy holders again: for about five seconds, if no timeout ends it before. */
const MAX_RETURNS = 16;

/** The waits between, in milliseconds. */
const RETURN_BACKOFF = { first: 25, max: 500 };

/** The holders that were busy. */
type BusyHolders = Pick<PeerAttempts, 'hasBusy' | 'exhausted' | 'takeBusy'>;

/**
 * Asks busy holders again when a race has no other peer to wait for. The DHT is asked again too: other peers may hold
 * the content by then.
 */
export class ReturnToBusy {
  readonly #attempts: BusyHolders;
  readonly #search: Pick<ProviderSearch, 'putBack' | 'again'>;
  readonly #backoff = new Backoff(RETURN_BACKOFF);
  #returns = 0;

  constructor(attempts: BusyHolders, search: Pick<ProviderSearch, 'putBack' | 'again'>) {
    this.#attempts = attempts;
    this.#search = search;
  }

  /** Whether there are busy holders that may be asked again. */
  get isPossible(): boolean {
    return this.#attempts.hasBusy && this.#returns < MAX_RETURNS && !this.#attempts.exhausted;
  }

  /** Waits for news of the race. If there are none for a while, the busy holders may be asked again. */
  async wait(news: Wakeup, signal: AbortSignal): Promise<void> {
    using due = new Deadline(this.#backoff.next(), signal);
    await news.wait(due.signal);
    if (!due.signal.aborted || signal.aborted) return;
    this.#returns += 1;
    for (const provider of this.#attempts.takeBusy()) this.#search.putBack(provider);
    this.#search.again();
  }
}

/** A peer that holds the content, and whose report shows that it would refuse to send it. */
export function busyHolder({ report }: Pick<PeerResponse, 'report'>): PeerError {
  const failure = new PeerError('busy', 'peer has it and is busy');
  failure.report = report;
  return failure;
}
