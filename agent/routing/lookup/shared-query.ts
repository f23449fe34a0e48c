import type { Provider } from '../router.ts';

/**
 * Finds providers and passes each on as it is found. Resolves when there are no more, with whether the steps after it
 * can be left out.
 */
export type QueryStep = (
  found: (provider: Provider) => void,
  signal: AbortSignal,
) => Promise<boolean>;

/** Maximum number of origins of one provider, which several peers may have named. */
const MAX_ORIGINS = 8;

/**
 * One query whose results several callers read, each at its own pace and all of them from the beginning. Its
 * steps run one after another, each when a reader has read all results and waits for more. The query is
 * aborted when the last reader leaves.
 *
 * It is not a `SingleFlight`: that shares one result that comes at the end of a call, and goes on without its callers.
 * Here the results come one by one, and the query ends with its readers.
 */
export class SharedQuery {
  readonly #steps: QueryStep[];
  readonly #onEnd: () => void;
  readonly #abort = new AbortController();
  readonly #providers: Provider[];
  /** Peer ID -> index among the providers. */
  readonly #indexes: Map<string, number>;
  #readers = 0;
  #isStepRunning = false;
  #hasEnded = false;
  #wake = Promise.withResolvers<undefined>();

  /**
   * @param initial the providers known already
   * @param steps a step that rejects counts as one that found no more
   * @param onEnd called once, when no reader may join any more
   */
  constructor(initial: readonly Provider[], steps: readonly QueryStep[], onEnd: () => void) {
    this.#providers = [...initial];
    this.#indexes = new Map(initial.map(({ peerId }, index) => [peerId, index]));
    this.#steps = [...steps];
    this.#onEnd = onEnd;
  }

  /** The providers, as they are found, until there are no more or the signal aborts. */
  async *read(signal?: AbortSignal): AsyncGenerator<Provider, void, undefined> {
    const aborted = Promise.withResolvers<undefined>();
    const onAbort = (): void => {
      aborted.resolve(undefined);
    };
    this.#readers++;
    signal?.addEventListener('abort', onAbort);
    try {
      for (let next = 0; signal?.aborted !== true;) {
        const provider = this.#providers[next];
        if (provider !== undefined) {
          next++;
          yield provider;
        } else if (this.#hasEnded) return;
        else {
          const woken = this.#wake.promise;
          this.#runNextStep();
          await Promise.race([woken, aborted.promise]);
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

  /** Adds a provider. For one that is known already, its origins are added, for readers that have not read it yet. */
  offer(provider: Provider): void {
    const { peerId, origins } = provider;
    const index = this.#indexes.get(peerId);
    const known = index === undefined ? undefined : this.#providers[index];
    if (index !== undefined && known !== undefined) {
      const merged = [...new Set([...known.origins, ...origins])].slice(0, MAX_ORIGINS);
      this.#providers[index] = { peerId, origins: merged };
      return;
    }
    this.#indexes.set(peerId, this.#providers.push(provider) - 1);
    this.#wakeReaders();
  }

  #runNextStep(): void {
    if (this.#isStepRunning) return;
    const step = this.#steps.shift();
    if (step === undefined) {
      this.#end();
      return;
    }
    this.#isStepRunning = true;
    void step((provider) => {
      this.offer(provider);
    }, this.#abort.signal)
      .catch(() => false)
      .then((enough) => {
        this.#isStepRunning = false;
        if (enough || this.#steps.length === 0) this.#end();
        // A reader that waits for more starts the next step.
        else this.#wakeReaders();
      });
  }

  #end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#abort.abort();
    this.#onEnd();
    this.#wakeReaders();
  }

  #wakeReaders(): void {
    this.#wake.resolve(undefined);
    this.#wake = Promise.withResolvers();
  }
}
