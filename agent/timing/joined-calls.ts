import { raceSignal } from './race-signal.ts';

interface Call<T> {
  readonly result: Promise<T>;
  readonly abort: AbortController;
  callers: number;
}

/**
 * Lets callers join a call that is under way for the same key. The call is aborted when the last of them has left.
 *
 * `SingleFlight` is the other way to share calls: there a caller needs a result at least as new as its question, so it
 * may not join a call that began earlier, and a call that was begun is never aborted.
 */
export class JoinedCalls<T> {
  readonly #calls = new Map<string, Call<T>>();

  /** Whether a call for the key is under way. */
  has(key: string): boolean {
    return this.#calls.has(key);
  }

  /**
   * Joins the call that is under way, or begins one.
   *
   * @param begin makes the call, with a signal that aborts when all callers have left
   * @param signal aborted when this caller leaves
   * @throws what the call rejects with; the signal's reason when that is aborted
   */
  async join(
    key: string,
    begin: (abort: AbortSignal) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const call = this.#calls.get(key) ?? this.#begin(key, begin);
    call.callers += 1;
    try {
      return await raceSignal(call.result, signal);
    } finally {
      call.callers -= 1;
      if (call.callers === 0) {
        this.#end(key, call);
        call.abort.abort();
      }
    }
  }

  #begin(key: string, begin: (abort: AbortSignal) => Promise<T>): Call<T> {
    const abort = new AbortController();
    const call = { result: begin(abort.signal), abort, callers: 0 };
    this.#calls.set(key, call);
    const end = (): void => {
      this.#end(key, call);
    };
    call.result.then(end, end);
    return call;
  }

  /** Later callers begin a new call. */
  #end(key: string, call: Call<T>): void {
    if (this.#calls.get(key) === call) this.#calls.delete(key);
  }
}
