/** How much a finding matters: `error` is refused, ignored or cannot work; `warning` works, maybe not as meant. */
export type Severity = 'error' | 'warning';

/** Something that is wrong with a registries.yaml. None of its texts has a credential in it. */
export interface Finding {
  readonly severity: Severity;
  /** Stable name of the kind of finding: `unknown-key`. */
  readonly code: string;
  /** From 1. */
  readonly line: number;
  /** In UTF-16 units, from 1. */
  readonly column: number;
  readonly message: string;
  /** The line, credentials and comments hidden; shortened when it is very long. */
  readonly source: string;
  /** Where in {@link source} the caret belongs, from 0. */
  readonly caret: number;
  /** What to write in the place of the line. Absent when that cannot be known. */
  readonly correction?: string;
  /** Whether the finding makes it uncertain which registries the file names. */
  readonly fatal: boolean;
}

/** A registries.yaml that cannot be used; the message names file, line and column, and no credential. */
export class RegistriesError extends Error {
  override readonly name = 'RegistriesError';
  readonly code = 'ERR_REGISTRIES';
}

/** `FILE:LINE:COL: what is wrong`. */
export function located(file: string, { line, column, message }: Finding): string {
  return `${file}:${line}:${column}: ${message}`;
}
