import { isAborted, pause } from '../../timing/pause.ts';

/** The longest time between two checks, in milliseconds; the time doubles with each. */
const MAX_CHECK_MS = 5_000;

/** How peers that say nothing are left. */
export interface SilenceInit {
  /** How long they may be silent before the first check, in milliseconds. */
  readonly checkMs: number;
  /**
   * Whether to wait on.
   *
   * @throws the signal's reason
   */
  readonly isToWait: (signal: AbortSignal) => Promise<boolean>;
}

/**
 * Does what waits for peers that may say nothing for long, and asks from time to time whether to wait on. The wait itself is not
 * disturbed by that.
 *
 * @returns what it gives; undefined when it was left
 * @throws what it throws
 */
export async function whileToWait<T>(
  attempt: (signal: AbortSignal) => Promise<T | undefined>,
  { checkMs, isToWait }: SilenceInit,
  signal: AbortSignal,
): Promise<T | undefined> {
  const ended = new AbortController();
  const left = new AbortController();
  const either = AbortSignal.any([signal, ended.signal]);
  const check = async (): Promise<void> => {
    for (let ms = checkMs; ; ms = Math.min(2 * ms, MAX_CHECK_MS)) {
      await pause(ms, either);
      if (isAborted(either)) return;
      if (await isToWait(either)) continue;
      left.abort();
      return;
    }
  };
  // A check fails only for the signal, as the attempt does.
  const checking = check().catch(() => undefined);
  try {
    return await attempt(AbortSignal.any([signal, left.signal]));
  } catch (error) {
    if (signal.aborted || !left.signal.aborted) throw error;
    return undefined;
  } finally {
    ended.abort();
    await checking;
  }
}
