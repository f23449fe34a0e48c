/** `error`: k3s refuses or ignores it, or it cannot work. `warning`: it works, but maybe not as intended. */
export type Severity = 'error' | 'warning';

/** A problem of a registries.yaml. Its texts contain no credentials. */
export interface Finding {
  readonly severity: Severity;
  /** Stable name of the kind of problem: `unknown-key`. */
  readonly code: string;
  /** Line, from 1. */
  readonly line: number;
  /** Column in UTF-16 units, from 1. */
  readonly column: number;
  readonly message: string;
  /** The line, with credentials and comments hidden, and shortened if it is very long. */
  readonly source: string;
  /** Index in {@link source} of the place that the finding is about, from 0. */
  readonly caret: number;
  /** The corrected line. Absent if it is unknown. */
  readonly correction?: string;
  /** Whether the problem makes it uncertain which registries the file names. */
  readonly fatal: boolean;
}

/** A registries.yaml that cannot be used. The message has file, line and column, and no credentials. */
export class RegistriesError extends Error {
  override readonly name = 'RegistriesError';
  readonly code = 'ERR_REGISTRIES';
}

/** Formats a finding as `FILE:LINE:COLUMN: message`. */
export function formatFinding(file: string, { line, column, message }: Finding): string {
  return `${file}:${line}:${column}: ${message}`;
}
