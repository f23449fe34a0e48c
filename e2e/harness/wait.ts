import { setTimeout as sleep } from 'node:timers/promises';

/** Options of {@link waitFor}. */
export interface WaitOptions {
  /** Milliseconds after which it gives up; a limit against hangs, not a measure. Default a minute. */
  readonly timeoutMs?: number;
  /** Milliseconds between two looks; default 50. */
  readonly everyMs?: number;
}

/**
 * Looks until `probe` gives something other than `undefined` or `false`, and gives that. A probe that
 * throws has not succeeded yet; its last error is the cause of the rejection when time is up.
 */
export async function waitFor<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  { timeoutMs = 60_000, everyMs = 50 }: WaitOptions = {},
): Promise<T> {
  const end = performance.now() + timeoutMs;
  let cause: unknown;
  for (;;) {
    try {
      const result = await probe();
      if (result !== undefined && result !== false) return result;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    if (performance.now() > end) {
      throw new Error(`${what}: not within ${timeoutMs} ms`, { cause });
    }
    await sleep(everyMs);
  }
}
