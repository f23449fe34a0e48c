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

  constructor({ stallTimeout, firstByteTimeout = stallTimeout, isAdaptive = false }: SilenceInit) {
    this.#stallTimeout = stallTimeout;
    this.#isAdaptive = isAdaptive;
    this.#patience = firstByteTimeout;
  }

  /** In milliseconds. */
  get patience(): number {
    return this.#patience;
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
