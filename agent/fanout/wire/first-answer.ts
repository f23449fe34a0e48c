import type { Decision } from '../question.ts';
import { Patience } from './patience.ts';

/** After this time the second arbiter is asked too, in milliseconds. */
const SECOND_AFTER_MS = 30;
/** So much longer it waits when the process did not get to run, in milliseconds. */
const MAX_EXTRA_MS = 150;

/** Asks one arbiter. Rejects when that cannot be asked or does not answer. */
export type AskOne<T extends Answer = Decision> = () => Promise<T>;

/** What tells answers apart. */
interface Answer {
  readonly kind: string;
}

/** How long to wait for the two. */
export interface Waits<T extends Answer = Decision> {
  /** The time for both, in milliseconds; the second has 30 ms less. */
  readonly withinMs: number;
  /** Whether the second is asked at once, since the first was late the last time. Default: no. */
  readonly asksBoth?: boolean;
  /** Whether an answer of the second counts while the first may still answer. Default: none does. */
  readonly countsAtOnce?: (answer: T) => boolean;
}

/** What one of the two has answered. */
interface Asked<T> {
  decision?: T;
  hasFailed: boolean;
}

/**
 * The answer that counts of two arbiters. The second is asked when the first has failed, or is silent for 30 ms. It knows what it was asked
 * while the first was late, and no more. So its answer counts when the first has failed, or stays silent for the whole time.
 *
 * @param signal ends the wait
 * @returns undefined when neither has answered in time
 */
export async function firstAnswer<T extends Answer = Decision>(
  askFirst: AskOne<T>,
  askSecond: AskOne<T> | undefined,
  signal: AbortSignal,
  { withinMs, asksBoth = false, countsAtOnce = () => false }: Waits<T>,
): Promise<T | undefined> {
  const first: Asked<T> = { hasFailed: false };
  const second: Asked<T> = { hasFailed: false };
  /** Whether nothing that can still come would change the answer. */
  const isDecided = (): boolean => {
    if (first.decision !== undefined) return true;
    if (second.decision !== undefined) return first.hasFailed || countsAtOnce(second.decision);
    return first.hasFailed && (second.hasFailed || askSecond === undefined);
  };
  const decided = new AbortController();
  /** Ends the wait before the second is asked. */
  const woken = new AbortController();
  const end = (): void => {
    decided.abort();
    woken.abort();
  };
  const ask = async (asked: Asked<T>, askOne: AskOne<T>): Promise<void> => {
    try {
      asked.decision = await askOne();
    } catch {
      asked.hasFailed = true;
    }
    if (isDecided()) end();
    else if (first.hasFailed) woken.abort();
  };
  signal.addEventListener('abort', end);
  if (signal.aborted) end();
  try {
    const patience = new Patience(MAX_EXTRA_MS);
    const start = performance.now();
    void ask(first, askFirst);
    if (!asksBoth) await patience.wait(SECOND_AFTER_MS, woken.signal);
    if (!decided.signal.aborted) {
      if (askSecond !== undefined) void ask(second, askSecond);
      const spent = Math.min(SECOND_AFTER_MS, performance.now() - start);
      await patience.wait(withinMs - spent, decided.signal);
    }
    return first.decision ?? second.decision;
  } finally {
    signal.removeEventListener('abort', end);
  }
}
