/** A silence may be this many times as long as the longest one before. */
const FACTOR = 3;

/** Longest silence that is taken for a slow sender, in milliseconds. */
const MAX_MS = 30_000;

/** How long a sender may be silent, in milliseconds. */
export interface SilenceInit {
  /** Between two bytes. */
  readonly stallTimeout: number;
  /** Until the first byte. Default: as later. */
  readonly firstByteTimeout?: number | undefined;
  /**
   * Whether a sender that was silent for a while, and then went on, may be silent for three times as long the next time.
   * containerd writes what it receives in steps of 1 MiB (`copyWithBuffer` in its `content/helpers.go`), so that a peer that
   * forwards it from a slow source sends a step every few seconds. Default: no.
   */
  readonly isAdaptive?: boolean | undefined;
}

/** How long the next byte of one sender may take. */
export class Silence {
  readonly #stallTimeout: number;
  readonly #isAdaptive: boolean;
  #longest = 0;
  #patience: number;
  #changed: () => void = () => undefined;

  constructor({ stallTimeout, firstByteTimeout = stallTimeout, isAdaptive = false }: SilenceInit) {
    this.#stallTimeout = stallTimeout;
    this.#isAdaptive = isAdaptive;
    this.#patience = firstByteTimeout;
  }

  /** In milliseconds. */
  get patience(): number {
    return this.#patience;
  }

  /** Calls when {@link patience} changes during a silence; the listener before is not called any more. */
  onChange(listener: () => void): void {
    this.#changed = listener;
  }

  /**
   * It is known whether the sender answers at all, in this silence. One that does not has no more than the shortest time, however long it was
   * silent before; one that does waits for bytes itself, and has three times as long.
   */
  answers(isThere: boolean): void {
    this.#patience = isThere
      ? Math.max(this.#patience, FACTOR * this.#stallTimeout)
      : Math.min(this.#patience, this.#stallTimeout);
    this.#changed();
  }

  /** The sender goes on where another one was: it is named because it has bytes, and waits for none at first. */
  goesOn(): void {
    this.#patience = Math.min(this.#patience, FACTOR * this.#stallTimeout);
    this.#changed();
  }

  /**
   * Bytes have come.
   *
   * @param silent how long there were none before, in milliseconds
   */
  ended(silent: number): void {
    if (this.#isAdaptive) this.#longest = Math.max(this.#longest, silent);
    this.#patience = Math.max(this.#stallTimeout, Math.min(MAX_MS, this.#longest * FACTOR));
  }
}
