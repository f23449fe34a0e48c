/** A call, who is answered by it, and who waits for the one after it. */
interface Round<T> {
  readonly begunAt: number;
  readonly answer: Promise<T>;
  isUnderWay: boolean;
  /** Makes the next call. */
  call?: () => Promise<T>;
  readonly next: PromiseWithResolvers<T>;
}

/**
 * Answers many askers with few calls, one at a time for each key. Who asks is answered by a call that began after the
 * question, or little before it; while one is under way that is too old, by the next, together with all others who do.
 */
export class SingleFlight<T> {
  readonly #rounds = new Map<string, Round<T>>();
  readonly #maxAgeMs: number;

  /** @param maxAgeMs milliseconds from the beginning of a call to a question that it may still answer; default none */
  constructor(maxAgeMs = 0) {
    this.#maxAgeMs = maxAgeMs;
  }

  /**
   * @param key what is asked for
   * @param call makes the call; when it rejects it does so for all who are answered by it, and is not kept
   */
  ask(key: string, call: () => Promise<T>): Promise<T> {
    const round = this.#rounds.get(key);
    if (round === undefined) return this.#begin(key, call);
    if (performance.now() - round.begunAt < this.#maxAgeMs) return round.answer;
    if (!round.isUnderWay) return this.#begin(key, call);
    round.call ??= call;
    return round.next.promise;
  }

  #begin(key: string, call: () => Promise<T>): Promise<T> {
    const round: Round<T> = {
      begunAt: performance.now(),
      answer: call(),
      isUnderWay: true,
      next: Promise.withResolvers(),
    };
    this.#rounds.set(key, round);
    round.answer.then(
      () => {
        this.#end(key, round, this.#maxAgeMs - (performance.now() - round.begunAt));
      },
      () => {
        this.#end(key, round, 0);
      },
    );
    return round.answer;
  }

  /** @param keepMs milliseconds for which the answer may still be given */
  #end(key: string, round: Round<T>, keepMs: number): void {
    round.isUnderWay = false;
    if (round.call !== undefined) {
      round.next.resolve(this.#begin(key, round.call));
      return;
    }
    const forget = (): void => {
      if (this.#rounds.get(key) === round) this.#rounds.delete(key);
    };
    if (keepMs > 0) setTimeout(forget, keepMs).unref();
    else forget();
  }
}
