/** What came of a check. `skipped`: it could not look, and says why. */
export type Outcome = 'ok' | 'warning' | 'failure' | 'skipped';

/** What a check found. */
export interface CheckResult {
  readonly outcome: Outcome;
  /** One sentence: what is so, or why it could not be looked at. */
  readonly reason: string;
  /** The command to run or the line to write that mends it; with every warning and failure. */
  readonly remedy?: string;
  /** What it is about, one thing a line, where there are several. */
  readonly details?: readonly string[];
}

/** All is well, and what that means here. */
export function ok(reason: string, details?: readonly string[]): CheckResult {
  return { outcome: 'ok', reason, ...(details && { details }) };
}

/** It works, but worse than it could, or not for long. */
export function warning(reason: string, remedy: string, details?: readonly string[]): CheckResult {
  return { outcome: 'warning', reason, remedy, ...(details && { details }) };
}

/** Something does not work. */
export function failure(reason: string, remedy: string, details?: readonly string[]): CheckResult {
  return { outcome: 'failure', reason, remedy, ...(details && { details }) };
}

/** It could not be looked at, or there is nothing to look at. */
export function skipped(reason: string): CheckResult {
  return { outcome: 'skipped', reason };
}

/** Thrown where something cannot be looked at: rights, or what another check tells of, are missing. */
export class CheckSkippedError extends Error {
  override readonly name = 'CouldNotLook';
  readonly code = 'ERR_COULD_NOT_LOOK';
}

/** A check and what it found. */
export interface Finding extends CheckResult {
  /** Stable name of the check; docs/TROUBLESHOOTING.md has a section of this name. */
  readonly id: string;
  /** What the check belongs to, for people. */
  readonly group: string;
}

/**
 * What `doctor --output json` prints. The shape is stable: keys may be added, `schema` grows when one changes its meaning.
 */
export interface Report {
  readonly schema: 1;
  /** Of the program. */
  readonly version: string;
  /** The worst of all; skipped checks do not count. */
  readonly result: 'ok' | 'warning' | 'failure';
  readonly counts: Readonly<Record<Outcome, number>>;
  readonly checks: readonly Finding[];
}

/** Sums the findings up. */
export function reportOf(version: string, checks: readonly Finding[]): Report {
  const counts = { ok: 0, warning: 0, failure: 0, skipped: 0 };
  for (const { outcome } of checks) counts[outcome] += 1;
  const result = counts.failure > 0 ? 'failure' : counts.warning > 0 ? 'warning' : 'ok';
  return { schema: 1, version, result, counts, checks };
}
