/** Outcome of a check. `skipped`: the check was not possible; the reason says why. */
export type Outcome = 'ok' | 'warning' | 'failure' | 'skipped';

/** Result of a check. */
export interface CheckResult {
  readonly outcome: Outcome;
  /** One sentence: the state that was found, or why the check was skipped. */
  readonly reason: string;
  /** The command to run or the line to write; present with every warning and failure. */
  readonly remedy?: string;
  /** The affected files, images or peers, one per line. */
  readonly details?: readonly string[];
}

/** Makes the result of a check that found no problem. */
export function ok(reason: string, details?: readonly string[]): CheckResult {
  return { outcome: 'ok', reason, ...(details && { details }) };
}

/** Makes the result of a check whose subject works, but badly or not for long. */
export function warning(reason: string, remedy: string, details?: readonly string[]): CheckResult {
  return { outcome: 'warning', reason, remedy, ...(details && { details }) };
}

/** Makes the result of a check whose subject does not work. */
export function failure(reason: string, remedy: string, details?: readonly string[]): CheckResult {
  return { outcome: 'failure', reason, remedy, ...(details && { details }) };
}

/** Makes the result of a check that was not possible, or that has nothing to check. */
export function skipped(reason: string): CheckResult {
  return { outcome: 'skipped', reason };
}

/** A check is not possible: a right is missing, or something that another check reports. */
export class CheckSkippedError extends Error {
  override readonly name = 'CheckSkippedError';
  readonly code = 'ERR_CHECK_SKIPPED';
}

/** A check with its result. */
export interface Finding extends CheckResult {
  /** Stable name of the check; docs/TROUBLESHOOTING.md has a section of this name. */
  readonly id: string;
  /** Heading of the check in the text report. */
  readonly group: string;
}

/**
 * The output of `doctor --output json`. Its shape is stable: keys may be added; `schema` grows when a key changes its
 * meaning.
 */
export interface Report {
  readonly schema: 1;
  /** Version of the program. */
  readonly version: string;
  /** The worst outcome; skipped checks do not count. */
  readonly result: 'ok' | 'warning' | 'failure';
  readonly counts: Readonly<Record<Outcome, number>>;
  readonly checks: readonly Finding[];
}

/** Makes a report of the findings. */
export function reportOf(version: string, checks: readonly Finding[]): Report {
  const counts = { ok: 0, warning: 0, failure: 0, skipped: 0 };
  for (const { outcome } of checks) counts[outcome] += 1;
  const result = counts.failure > 0 ? 'failure' : counts.warning > 0 ? 'warning' : 'ok';
  return { schema: 1, version, result, counts, checks };
}
