/** The call after the one that is under way, and who waits for it. */
interface Round<T> {
  call?: () => Promise<T>;
  readonly next: PromiseWithResolvers<T>;
}

/**
 * Answers many askers with few calls. Who asks while a call is under way is answered by the next one, together with
 * all others who do: no answer is ever older than its question, as it would be from a cache, or from a call that
 * had begun before.
 */
export class FreshCalls<T> {
  readonly #rounds = new Map<string, Round<T>>();

  /**
   * @param key what is asked for; one call at a time for each
   * @param call makes the call; rejects for all who are answered by it
   */
  ask(key: string, call: () => Promise<T>): Promise<T> {
    const round = this.#rounds.get(key);
    if (round === undefined) return this.#begin(key, call);
    round.call ??= call;
    return round.next.promise;
  }

  #begin(key: string, call: () => Promise<T>): Promise<T> {
    const round: Round<T> = { next: Promise.withResolvers() };
    this.#rounds.set(key, round);
    const answer = call();
    const end = (): void => {
      if (round.call === undefined) this.#rounds.delete(key);
      else round.next.resolve(this.#begin(key, round.call));
    };
    answer.then(end, end);
    return answer;
  }
}
