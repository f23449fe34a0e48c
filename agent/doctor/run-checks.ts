import pLimit from 'p-limit';

import { Deadline } from '../timing/deadline.ts';
import { raceSignal } from '../timing/race-signal.ts';
import { CheckSkippedError, skipped, warning, type Finding, type CheckResult } from './report.ts';

/** One check. */
export interface Check<Facts> {
  /** Stable name, in kebab case. */
  readonly id: string;
  readonly group: string;
  /**
   * Runs the check.
   *
   * @param signal aborted when the time of the check is up
   * @throws CheckSkippedError when the facts cannot be found out
   */
  run(facts: Facts, signal: AbortSignal): Promise<CheckResult> | CheckResult;
}

/** Upper bound for concurrent checks; most of them wait for an answer. */
const CONCURRENCY = 8;
/** How long one check may take, in milliseconds. */
const CHECK_MS = 4_000;
/** How long all checks may take together, in milliseconds. */
const ALL_MS = 8_500;

/** Time limits of {@link runChecks}. */
export interface RunChecksInit {
  /** Milliseconds per check; default 4,000. */
  readonly checkMs?: number;
  /** Milliseconds for all checks; default 8,500. */
  readonly allMs?: number;
}

/** Runs the checks, a few at a time, and returns the findings in the order of the table. Never rejects. */
export async function runChecks<Facts>(
  checks: readonly Check<Facts>[],
  facts: Facts,
  { checkMs = CHECK_MS, allMs = ALL_MS }: RunChecksInit = {},
): Promise<Finding[]> {
  using all = new Deadline(allMs);
  const limit = pLimit(CONCURRENCY);
  return await Promise.all(
    checks.map((check) =>
      limit(async () => {
        using deadline = new Deadline(checkMs, all.signal);
        const result = await resultOf(check, facts, deadline.signal);
        return { id: check.id, group: check.group, ...result };
      }),
    ),
  );
}

async function resultOf<Facts>(
  check: Check<Facts>,
  facts: Facts,
  signal: AbortSignal,
): Promise<CheckResult> {
  try {
    signal.throwIfAborted();
    return await raceSignal(
      Promise.resolve().then(() => check.run(facts, signal)),
      signal,
    );
  } catch (error) {
    if (error instanceof CheckSkippedError) return skipped(error.message);
    if (signal.aborted)
      return skipped('the check did not end in time: something that it asks does not answer');
    const why = error instanceof Error ? error.message : String(error);
    return warning(`the check itself failed: ${why}`, 'please report it, with this line');
  }
}
