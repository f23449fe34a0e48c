import { setImmediate as nextTurn } from 'node:timers/promises';

/** Longest wait that is timed at once, in milliseconds: a longer one would hide that the process stood still within it. */
const SLICE_MS = 30;
/** A timer that fires later than this, in milliseconds, shows that this process did not get to run. */
const OVERSLEPT_MS = 10;

/**
 * Waits for others. While this process does not get to run, because of other processes or its CPU limit, they may have
 * answered without being read: that time does not count, up to a bound.
 */
export class Patience {
  #extraMs: number;

  /** @param maxExtraMs how much longer all waits together may take, in milliseconds */
  constructor(maxExtraMs: number) {
    this.#extraMs = maxExtraMs;
  }

  /** Resolves after the time, in milliseconds, or at once when the signal is aborted. */
  async wait(milliseconds: number, signal: AbortSignal): Promise<void> {
    let rest = milliseconds;
    while (rest > 0 && !signal.aborted) {
      const slice = Math.min(rest, SLICE_MS);
      const start = performance.now();
      await sleep(slice, signal);
      const elapsed = performance.now() - start;
      const late = elapsed - slice;
      const extra = late > OVERSLEPT_MS ? Math.min(late, this.#extraMs) : 0;
      this.#extraMs -= extra;
      rest -= elapsed - extra;
    }
    // A timer can fire before input is read that has already arrived.
    if (!signal.aborted) await nextTurn();
  }
}

/** Like `pause` of timing, without the error that an abort makes there: most waits are aborted. */
function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal.addEventListener('abort', end);
  });
}
