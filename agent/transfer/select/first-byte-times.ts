/** Number of answers whose times are remembered: the newest ones. */
const WINDOW = 256;

/** With fewer answers than this, {@link UNKNOWN_MS} is used. */
const MIN_ANSWERS = 20;

/** When a peer is late while few times are known, in milliseconds. */
const UNKNOWN_MS = 100;

/** The percentile of all answers that counts as in time. */
const PERCENTILE = 0.95;

/** A peer is late after this multiple of the percentile. */
const FACTOR = 2;

/** The shortest time, in milliseconds: a busy machine needs it. */
const MIN_MS = 20;

/** The longest time, in milliseconds: a client waits no longer. */
const MAX_MS = 1_000;

/** The percentile is computed again after this many new answers. */
const RECOMPUTED_AFTER = 16;

/** How long peers took to begin their answers lately, and the time after which a peer is late compared with them. */
export class FirstByteTimes {
  readonly #times: number[] = [];
  #next = 0;
  #newer = 0;
  #lateAfter = UNKNOWN_MS;

  /** Records how long a good answer took to begin, in milliseconds. */
  note(milliseconds: number): void {
    this.#times[this.#next] = milliseconds;
    this.#next = (this.#next + 1) % WINDOW;
    this.#newer += 1;
    if (this.#times.length < MIN_ANSWERS) return;
    if (this.#newer < RECOMPUTED_AFTER && this.#lateAfter !== UNKNOWN_MS) return;
    this.#newer = 0;
    const sorted = this.#times.toSorted((a, b) => a - b);
    const slowest = sorted[Math.floor((sorted.length - 1) * PERCENTILE)] ?? UNKNOWN_MS;
    this.#lateAfter = Math.min(MAX_MS, Math.max(MIN_MS, slowest * FACTOR));
  }

  /** A peer that has not answered after this time is late; in milliseconds, from 20 to 1,000. */
  get lateAfter(): number {
    return this.#lateAfter;
  }
}
