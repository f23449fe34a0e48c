/** How long a {@link Settling} waits, in milliseconds. */
export interface SettlingInit {
  /** After the last call. Up to as much is added at random, so that many nodes do not act at the same time. */
  readonly quietMs: number;
  /** After the first call, however many follow. */
  readonly maxMs: number;
}

/** Debounces calls that come in bursts: acts once, when no call has come for a while. */
export class Settling {
  readonly #init: SettlingInit;
  readonly #act: () => void;
  #timer: NodeJS.Timeout | undefined;
  #latest = Number.POSITIVE_INFINITY;

  constructor(init: SettlingInit, act: () => void) {
    this.#init = init;
    this.#act = act;
  }

  call(): void {
    const now = performance.now();
    const { quietMs, maxMs } = this.#init;
    this.#latest = Math.min(this.#latest, now + maxMs);
    clearTimeout(this.#timer);
    const quiet = quietMs * (1 + Math.random());
    this.#timer = setTimeout(
      () => {
        this.#latest = Number.POSITIVE_INFINITY;
        this.#act();
      },
      Math.max(0, Math.min(quiet, this.#latest - now)),
    );
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#latest = Number.POSITIVE_INFINITY;
  }
}
