/** A call, the callers that it answers, and those that wait for the next one. */
interface Round<T> {
  readonly begunAt: number;
  readonly answer: Promise<T>;
  isUnderWay: boolean;
  /** Makes the next call. Absent while no caller waits for it. */
  nextCall?: () => Promise<T>;
  readonly next: PromiseWithResolvers<T>;
}

/**
 * Answers many callers by few calls, one at a time for each key. A caller is answered by a call that began after it
 * asked, or less than a given age before. While an older call is under way, all later callers wait for the next one
 * together.
 *
 * `JoinedCalls` is the other way to share calls: there any call under way will do, and it is aborted when all of its
 * callers have left.
 */
export class SingleFlight<T> {
  readonly #rounds = new Map<string, Round<T>>();
  readonly #maxAgeMs: number;

  /** @param maxAgeMs how long before a caller the call may have begun that answers it, in milliseconds; default 0 */
  constructor(maxAgeMs = 0) {
    this.#maxAgeMs = maxAgeMs;
  }

  /** @param call makes the call; when it rejects, all of its callers get the error, and later ones make another call */
  run(key: string, call: () => Promise<T>): Promise<T> {
    const round = this.#rounds.get(key);
    if (round === undefined) return this.#begin(key, call);
    if (performance.now() - round.begunAt < this.#maxAgeMs) return round.answer;
    if (!round.isUnderWay) return this.#begin(key, call);
    round.nextCall ??= call;
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

  /** @param keepMs milliseconds for which the answer is young enough for later callers */
  #end(key: string, round: Round<T>, keepMs: number): void {
    round.isUnderWay = false;
    if (round.nextCall !== undefined) {
      round.next.resolve(this.#begin(key, round.nextCall));
      return;
    }
    const forget = (): void => {
      if (this.#rounds.get(key) === round) this.#rounds.delete(key);
    };
    if (keepMs > 0) setTimeout(forget, keepMs).unref();
    else forget();
  }
}
