import { setTimeout as delay } from 'node:timers/promises';

/** Resolves after `milliseconds`, or at once when `signal` is aborted; never rejects. */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(milliseconds, undefined, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** Reads `signal.aborted` by a call: after one check the compiler assumes that the property never changes. */
export function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}
