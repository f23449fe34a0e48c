import type { Provider } from '../router.ts';

/**
 * Finds providers and hands each over as it is found. Resolves when there are no more, with whether steps that
 * come after it would find none either.
 */
export type QueryStep = (
  found: (provider: Provider) => void,
  signal: AbortSignal,
) => Promise<boolean>;

/** Origins kept of one provider, of all that several peers have said about it. */
const MAX_ORIGINS = 8;

/**
 * One query whose results several callers read, each at its own pace and all of them from the beginning. Its
 * steps are taken one after another, each when somebody has read all that is there and waits for more; it is
 * aborted when the last reader leaves.
 */
export class SharedQuery {
  readonly #steps: QueryStep[];
  readonly #onEnd: () => void;
  readonly #abort = new AbortController();
  readonly #providers: Provider[];
  /** Peer ID -> where it is among the providers. */
  readonly #places: Map<string, number>;
  #readers = 0;
  #stepping = false;
  #ended = false;
  #wake = Promise.withResolvers<undefined>();

  /**
   * @param initial what is known already
   * @param steps never reject for a reason that a reader could do something about
   * @param onEnd called once, when nobody is to join any more
   */
  constructor(initial: readonly Provider[], steps: readonly QueryStep[], onEnd: () => void) {
    this.#providers = [...initial];
    this.#places = new Map(initial.map(({ peerId }, place) => [peerId, place]));
    this.#steps = [...steps];
    this.#onEnd = onEnd;
  }

  /** The providers, as they are found, until there are no more or the signal aborts. */
  async *read(signal?: AbortSignal): AsyncGenerator<Provider, void, undefined> {
    const left = Promise.withResolvers<undefined>();
    const onAbort = (): void => {
      left.resolve(undefined);
    };
    this.#readers++;
    signal?.addEventListener('abort', onAbort);
    try {
      for (let next = 0; signal?.aborted !== true;) {
        const provider = this.#providers[next];
        if (provider !== undefined) {
          next++;
          yield provider;
        } else if (this.#ended) return;
        else {
          const woken = this.#wake.promise;
          this.#takeStep();
          await Promise.race([woken, left.promise]);
        }
      }
    } finally {
      signal?.removeEventListener('abort', onAbort);
      if (--this.#readers === 0) this.#end();
    }
  }

  /** The providers that have been found so far. */
  get found(): readonly Provider[] {
    return this.#providers;
  }

  /** Adds a provider; of one that is known already, the origins that readers to come are to hear of too. */
  offer(provider: Provider): void {
    const { peerId, origins } = provider;
    const place = this.#places.get(peerId);
    const known = place === undefined ? undefined : this.#providers[place];
    if (place !== undefined && known !== undefined) {
      const merged = [...new Set([...known.origins, ...origins])].slice(0, MAX_ORIGINS);
      this.#providers[place] = { peerId, origins: merged };
      return;
    }
    this.#places.set(peerId, this.#providers.push(provider) - 1);
    this.#wakeReaders();
  }

  #takeStep(): void {
    if (this.#stepping) return;
    const step = this.#steps.shift();
    if (step === undefined) {
      this.#end();
      return;
    }
    this.#stepping = true;
    void step((provider) => {
      this.offer(provider);
    }, this.#abort.signal)
      .catch(() => false)
      .then((enough) => {
        this.#stepping = false;
        if (enough || this.#steps.length === 0) this.#end();
        // Who waits for more takes the next step.
        else this.#wakeReaders();
      });
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#abort.abort();
    this.#onEnd();
    this.#wakeReaders();
  }

  #wakeReaders(): void {
    this.#wake.resolve(undefined);
    this.#wake = Promise.withResolvers();
  }
}
