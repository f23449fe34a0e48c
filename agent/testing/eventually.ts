import { setTimeout as delay } from 'node:timers/promises';

/** Longest that a test waits for something, in milliseconds: a bound on hanging, not a measurement. */
const PATIENCE_MS = 20_000;

/** Repeats the check until it no longer throws; in the end rejects with what it threw last. */
export async function eventually(check: () => Promise<void> | void): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      await check();
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await delay(5);
    }
  }
}
