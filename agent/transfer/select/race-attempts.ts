import type { Provider } from '../../routing/router.ts';
import type { AttemptSlots } from './attempt-slots.ts';

/** Peers that one request asks at once, late ones included: a dead peer counts until its timeout. */
const MAX_AT_ONCE = 128;

/** Peers that are asked for the content itself at once; others are only asked whether they hold it. */
const MAX_FETCHES = 3;

/** `content`: the peer is asked for the content. `probe`: it is asked by HEAD whether it holds the content. */
type AttemptPurpose = 'content' | 'probe';

/**
 * `awaited`: the race waits for the answer before it asks more peers than its width allows. `late`: the race asks
 * others, but takes the answer if it comes first. `ended`: answered, failed or cancelled.
 */
export type AttemptPhase = 'awaited' | 'late' | 'ended';

/** Permits one more attempt: every request has one of its own, and all requests share the slots. */
export type AttemptPermit = 'own' | 'shared-slot';

/** One request to one peer, as a part of a race. */
export interface Attempt {
  readonly provider: Provider;
  readonly purpose: AttemptPurpose;
  /** `hedge`: the peer is asked because another one is late. */
  readonly cause: 'regular' | 'hedge';
  readonly permit: AttemptPermit;
  readonly cancel: AbortController;
  phase: AttemptPhase;
}

/** The attempts of a race that are in progress. */
export class RaceAttempts {
  readonly #slots: AttemptSlots;
  readonly #running = new Set<Attempt>();

  constructor(slots: AttemptSlots) {
    this.#slots = slots;
  }

  get size(): number {
    return this.#running.size;
  }

  /** Those in progress of one phase. */
  inPhase(phase: AttemptPhase): Attempt[] {
    return [...this.#running].filter((attempt) => attempt.phase === phase);
  }

  /**
   * Whether one more peer may be asked: not while the race waits for a peer that was asked for the content itself.
   *
   * @param forContent whether the next peer would be asked for the content itself
   */
  mayAsk(forContent: boolean): boolean {
    const fetching = [...this.#running].filter(({ purpose }) => purpose === 'content');
    if (fetching.some(({ phase }) => phase === 'awaited')) return false;
    return !forContent || fetching.length < MAX_FETCHES;
  }

  /** Takes a permit for one more attempt, to be used by {@link begin} or released; undefined when there is none. */
  acquire(): AttemptPermit | undefined {
    if (this.#running.size === 0) return 'own';
    if (this.#running.size >= MAX_AT_ONCE) return undefined;
    return this.#slots.tryAcquire() ? 'shared-slot' : undefined;
  }

  /** Releases a permit that no attempt uses. */
  release(permit: AttemptPermit): void {
    if (permit === 'shared-slot') this.#slots.release();
  }

  begin(attempt: Attempt): void {
    this.#running.add(attempt);
  }

  /** Ends the attempt and releases its permit; does nothing when it has ended already. */
  end(attempt: Attempt): void {
    if (attempt.phase === 'ended') return;
    attempt.phase = 'ended';
    this.#running.delete(attempt);
    this.release(attempt.permit);
  }

  /** Ends the attempt, and its request too. */
  cancel(attempt: Attempt): void {
    this.end(attempt);
    attempt.cancel.abort();
  }

  /** Cancels all that are in progress, and returns them. */
  cancelAll(): Attempt[] {
    const cancelled = [...this.#running];
    for (const attempt of cancelled) this.cancel(attempt);
    return cancelled;
  }
}
