/** How long a {@link Settling} waits, in milliseconds. */
export interface SettlingInit {
  /** After the last call; as much again at random is added, so that many nodes do not act together. */
  readonly quietMs: number;
  /** After the first call, however many come. */
  readonly mostMs: number;
}

/** Gathers calls that come in bursts and acts once, when none has come for a while. */
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
    const { quietMs, mostMs } = this.#init;
    this.#latest = Math.min(this.#latest, now + mostMs);
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
