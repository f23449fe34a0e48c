import { setTimeout as delay } from 'node:timers/promises';

/** Milliseconds that a test waits at most. It bounds a hanging test, and measures nothing. */
const PATIENCE_MS = 60_000;

/** Repeats the check until it does not throw. After {@link PATIENCE_MS} rejects with its last error. */
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
