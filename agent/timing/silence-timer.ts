import type { Silence } from './silence.ts';

/** Ends a wait for bytes that has lasted for longer than their sender may be silent. */
export class SilenceTimer {
  readonly #silence: Silence;
  readonly #onSilent: (patience: number) => void;
  #since = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param onSilent called once for each wait that is too long, with the bound in milliseconds */
  constructor(silence: Silence, onSilent: (patience: number) => void) {
    this.#silence = silence;
    this.#onSilent = onSilent;
    silence.onChange(() => {
      if (this.#timer !== undefined) this.#set(performance.now() - this.#since);
    });
  }

  /** A wait begins, or goes on. */
  start(): void {
    if (this.#timer !== undefined) return;
    this.#since = performance.now();
    this.#set(0);
  }

  /** Bytes have come: the wait is over, if there was one. */
  arrived(): void {
    this.#silence.ended(this.#timer === undefined ? 0 : performance.now() - this.#since);
    this.stop();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** @param silent for how long no byte has come, in milliseconds */
  #set(silent: number): void {
    const { patience } = this.#silence;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => {
        this.#onSilent(patience);
      },
      Math.max(0, patience - silent),
    );
  }
}
