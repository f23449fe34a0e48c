import { environmentName, type OptionTable, type OptionValues } from './options.ts';

/** The command line or the environment is invalid. The program ends with exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly code = 'ERR_USAGE';
}

/** The flags of the command line, each with the values of all its occurrences. */
export type WrittenFlags = Readonly<Record<string, readonly string[] | undefined>>;

/**
 * Resolves every option of the table: from the command line, else from its environment variable, else by default. A
 * variable that is set but empty counts as not set, because container platforms set empty variables.
 *
 * @throws UsageError with the flag or variable, what is wrong and what to write
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
      // Templates write an empty list as `--registry-filters=`, which means no filter.
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

/** Splits the list of an environment variable at commas. A value with a comma is in double quotes. */
export function splitList(text: string): string[] {
  const items: string[] = [];
  for (const [, quoted, plain] of text.matchAll(/\s*(?:"((?:[^"]|"")*)"|([^,]*))\s*(?:,|$)/g)) {
    const item = quoted?.replaceAll('""', '"') ?? plain?.trim() ?? '';
    if (item !== '') items.push(item);
  }
  return items;
}
