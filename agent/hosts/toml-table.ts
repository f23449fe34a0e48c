import { TomlError, parse } from 'smol-toml';

/** A `hosts.toml` that containerd would ignore as a whole. */
export class HostsTomlError extends Error {
  override readonly name = 'HostsTomlError';
  readonly code = 'ERR_HOSTS_TOML';
  /** Line of the file, from 1; undefined if unknown. */
  readonly line: number | undefined;

  constructor(message: string, line?: number, options?: ErrorOptions) {
    super(line === undefined ? message : `line ${line}: ${message}`, options);
    this.line = line;
  }
}

/** The keys and values of a table. */
export type Table = Record<string, unknown>;

export function isTable(value: unknown): value is Table {
  const isObject = typeof value === 'object' && value !== null;
  return isObject && !Array.isArray(value) && !(value instanceof Date);
}

/** @throws HostsTomlError */
export function parseToml(text: string): Table {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // The rest of the message is an excerpt of the file, which may contain credentials.
    const [reason = 'not TOML'] = error.message.replace(/^Invalid TOML document: /, '').split('\n');
    throw new HostsTomlError(reason, error.line, { cause: error });
  }
}

/** Number, from 1, of the first line with `needle` after the first occurrence of `after`. */
export function lineOf(text: string, needle: string, after = ''): number | undefined {
  const at = text.indexOf(needle, Math.max(0, text.indexOf(after)));
  return at < 0 ? undefined : text.slice(0, at).split('\n').length;
}

/** Reads typed values of one table. Every method throws a {@link HostsTomlError} with the line of a value of another type. */
export class TableReader {
  readonly #text: string;
  readonly #values: Table;
  readonly #after: string;

  /** @param after text of the file that precedes the table's keys, to find their lines */
  constructor(text: string, values: Table, after = '') {
    this.#text = text;
    this.#values = values;
    this.#after = after;
  }

  string(key: string): string | undefined {
    return this.#read(key, 'a string', (value) => typeof value === 'string');
  }

  boolean(key: string): boolean | undefined {
    return this.#read(key, 'true or false', (value) => typeof value === 'boolean');
  }

  table(key: string): Table | undefined {
    return this.#read(key, 'a table', isTable);
  }

  /** A string or a list of strings. */
  strings(key: string): string[] | undefined {
    const value = this.#read(key, 'a string or a list of strings', isStrings);
    return typeof value === 'string' ? [value] : value;
  }

  list(key: string): string[] | undefined {
    return this.#read(
      key,
      'a list of strings',
      (value): value is string[] => Array.isArray(value) && isStrings(value),
    );
  }

  /** A string, a list of strings, or a list of pairs. */
  pairs(key: string): [string, string?][] | undefined {
    const what = 'a file, a list of files, or a list of pairs of certificate and key';
    const value = this.#read(key, what, isPairs);
    if (value === undefined) return undefined;
    return (typeof value === 'string' ? [value] : value).map((each) =>
      typeof each === 'string' ? [each] : each[1] === '' ? [each[0]] : each,
    );
  }

  /** @throws HostsTomlError with the line of the key */
  fail(key: string, message: string, needle = key): never {
    const line = lineOf(this.#text, needle, this.#after) ?? lineOf(this.#text, key, this.#after);
    throw new HostsTomlError(message, line);
  }

  #read<T>(key: string, what: string, is: (value: unknown) => value is T): T | undefined {
    const value = Object.hasOwn(this.#values, key) ? this.#values[key] : undefined;
    if (value === undefined || is(value)) return value;
    return this.fail(key, `${key} must be ${what}; containerd ignores the whole file`);
  }
}

function isStrings(value: unknown): value is string | string[] {
  return (
    typeof value === 'string' ||
    (Array.isArray(value) && value.every((each) => typeof each === 'string'))
  );
}

function isPairs(value: unknown): value is string | (string | [string, string])[] {
  if (!Array.isArray(value)) return typeof value === 'string';
  return value.every(
    (each) =>
      typeof each === 'string' || (Array.isArray(each) && each.length === 2 && isStrings(each)),
  );
}
