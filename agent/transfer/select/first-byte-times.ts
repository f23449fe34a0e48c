/** Answers whose time is remembered, the newest. */
const WINDOW = 256;

/** With fewer answers than this their times say little. */
const LEAST_ANSWERS = 20;

/** Waited for an answer while little is known, in milliseconds. */
const UNKNOWN_MS = 100;

/** Of all answers, so many come in time by definition. */
const PERCENTILE = 0.95;

/** A peer is late when it takes so many times as long as the slowest of those. */
const FACTOR = 2;

/** Bounds on what counts as late, in milliseconds: a busy machine, and what a client can stand. */
const LEAST_MS = 20;
const MOST_MS = 1_000;

/** After so many new answers the percentile is computed anew. */
const RECOMPUTED_AFTER = 16;

/** How long peers took to begin their answers lately, and from when on one is therefore late. */
export class FirstByteTimes {
  readonly #times: number[] = [];
  #next = 0;
  #newer = 0;
  #lateAfter = UNKNOWN_MS;

  /** A peer has answered well after so many milliseconds. */
  note(milliseconds: number): void {
    this.#times[this.#next] = milliseconds;
    this.#next = (this.#next + 1) % WINDOW;
    this.#newer += 1;
    if (this.#times.length < LEAST_ANSWERS) return;
    if (this.#newer < RECOMPUTED_AFTER && this.#lateAfter !== UNKNOWN_MS) return;
    this.#newer = 0;
    const sorted = this.#times.toSorted((a, b) => a - b);
    const slowest = sorted[Math.floor((sorted.length - 1) * PERCENTILE)] ?? UNKNOWN_MS;
    this.#lateAfter = Math.min(MOST_MS, Math.max(LEAST_MS, slowest * FACTOR));
  }

  /** A peer without an answer for so many milliseconds is late. */
  get lateAfter(): number {
    return this.#lateAfter;
  }
}
