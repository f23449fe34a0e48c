import type { ValueKind } from './values.ts';

/** One option, as the command line, the documentation and the chart need it. */
export interface Option<T = unknown> {
  readonly kind: ValueKind<T>;
  /** Default value in text form, as a user would write it; empty for none. */
  readonly fallback: string;
  /** One line for `--help`, without a full stop. */
  readonly summary: string;
  /** Further sentences for docs/CONFIGURATION.md: the trade-off, the unit, when to change it. */
  readonly details?: string;
  /** Whether Spegel has the same flag. */
  readonly spegel: boolean;
  /** Environment variable, when it is not the flag in upper snake case. */
  readonly env?: string;
}

/** Options by flag name without the leading dashes. */
export type OptionTable = Readonly<Record<string, Option>>;

/** Values of the options of a table, with their types. */
export type OptionValues<T extends OptionTable> = {
  readonly [F in keyof T]: T[F] extends Option<infer V> ? V : never;
};

/** Declares an option. It returns its argument; the call infers the type of the value. */
export function option<T>(row: Option<T>): Option<T> {
  return row;
}

/** Returns the name of the environment variable of the option. */
export function environmentName(flag: string, { env }: Option): string {
  return env ?? flag.toUpperCase().replaceAll('-', '_');
}

/** Whether the option is true or false. On a command line with operands it takes no value: the next word is an operand. */
export function isSwitch({ kind }: Option): boolean {
  return kind.placeholder === 'true|false';
}
