import type { ValueKind } from './values.ts';

/** One option: everything that the command line, the documentation and the chart need to know of it. */
export interface Option<T = unknown> {
  readonly kind: ValueKind<T>;
  /** In the text form that a user would write; empty for none. */
  readonly fallback: string;
  /** One line for `--help`, without a full stop. */
  readonly summary: string;
  /** What docs/CONFIGURATION.md adds: the trade-off, the unit, when to change it. */
  readonly details?: string;
  /** Whether Spegel has the same flag. */
  readonly spegel: boolean;
  /** Environment twin where it is not the flag in upper snake case. */
  readonly env?: string;
}

/** Options by flag name, without the dashes. */
export type OptionTable = Readonly<Record<string, Option>>;

/** The typed values of a table. */
export type OptionValues<T extends OptionTable> = {
  readonly [F in keyof T]: T[F] extends Option<infer V> ? V : never;
};

/** Declares an option; a function only so that the type of its value is inferred. */
export function option<T>(row: Option<T>): Option<T> {
  return row;
}

/** Name of the environment variable that sets the option. */
export function environmentName(flag: string, { env }: Option): string {
  return env ?? flag.toUpperCase().replaceAll('-', '_');
}
