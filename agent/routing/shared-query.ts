import type { Provider } from './router.ts';

/** Finds providers and hands each over as it is found; resolves when there are no more. */
export type RunQuery = (found: (provider: Provider) => void, signal: AbortSignal) => Promise<void>;

/** Origins kept of one provider, of all that several peers have said about it. */
const MAX_ORIGINS = 8;

/**
 * One query whose results several callers read, each at its own pace and all of them from the beginning. The
 * query starts when somebody waits for more than `initial` offers, and is aborted when the last reader leaves.
 */
export class SharedQuery {
  readonly #run: RunQuery;
  readonly #onEnd: () => void;
  readonly #abort = new AbortController();
  readonly #providers: Provider[];
  /** Peer ID -> where it is among the providers. */
  readonly #places: Map<string, number>;
  #readers = 0;
  #started = false;
  #ended = false;
  #wake = Promise.withResolvers<undefined>();

  /**
   * @param initial what is known already
   * @param run never rejects for a reason that a reader could do something about
   * @param onEnd called once, when nobody is to join any more
   */
  constructor(initial: readonly Provider[], run: RunQuery, onEnd: () => void) {
    this.#providers = [...initial];
    this.#places = new Map(initial.map(({ peerId }, place) => [peerId, place]));
    this.#run = run;
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
          this.#start();
          await Promise.race([this.#wake.promise, left.promise]);
        }
      }
    } finally {
      signal?.removeEventListener('abort', onAbort);
      if (--this.#readers === 0) this.#end();
    }
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

  #start(): void {
    if (this.#started) return;
    this.#started = true;
    this.#run((provider) => {
      this.offer(provider);
    }, this.#abort.signal)
      .catch(() => undefined)
      .finally(() => {
        this.#end();
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
