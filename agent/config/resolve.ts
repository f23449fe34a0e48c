import { environmentName, type OptionTable, type OptionValues } from './options.ts';

/** The command line or the environment is wrong; ends the program with exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly code = 'ERR_USAGE';
}

/** What was written on the command line, by flag name: the values of all its occurrences. */
export type WrittenFlags = Readonly<Record<string, readonly string[] | undefined>>;

/**
 * Gives every option of the table its value: from the command line, else from its environment variable,
 * else its default. A variable that is set but empty counts as not set, as container platforms make them.
 *
 * @throws UsageError naming the flag or variable, what was wrong and what to write
 */
export function resolveOptions<T extends OptionTable>(
  table: T,
  written: WrittenFlags,
  env: NodeJS.ProcessEnv,
): OptionValues<T> {
  const values: Record<string, unknown> = {};
  for (const [flag, option] of Object.entries(table)) {
    const variable = environmentName(flag, option);
    const fromFlag = written[flag];
    const fromEnv = env[variable];
    let texts: readonly string[];
    let source = `--${flag}`;
    if (fromFlag !== undefined) {
      // `--registry-filters=`, as templates write an empty list, is no filter rather than an empty one.
      texts = option.kind.list ? fromFlag.filter((text) => text !== '') : fromFlag;
    } else if (fromEnv !== undefined && fromEnv !== '') {
      texts = option.kind.list ? splitList(fromEnv) : [fromEnv];
      source = variable;
    } else {
      texts = option.kind.list && option.fallback === '' ? [] : [option.fallback];
    }
    if (!option.kind.list && texts.length > 1) {
      throw new UsageError(`${source}: given ${texts.length} times`);
    }
    try {
      values[flag] = option.kind.parse(texts);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      throw new UsageError(`${source}: ${message}`, { cause: error });
    }
  }
  return values as OptionValues<T>;
}

/** Splits a list in an environment variable at commas; a value with a comma is put in double quotes. */
export function splitList(text: string): string[] {
  const items: string[] = [];
  for (const [, quoted, plain] of text.matchAll(/\s*(?:"((?:[^"]|"")*)"|([^,]*))\s*(?:,|$)/g)) {
    const item = quoted?.replaceAll('""', '"') ?? plain?.trim() ?? '';
    if (item !== '') items.push(item);
  }
  return items;
}
