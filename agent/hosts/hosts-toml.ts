import { isIP } from 'node:net';

import { TomlError, parse } from 'smol-toml';

import { isRegistry } from '../oci/reference.ts';
import { HostsConfigError } from './hosts-error.ts';

/**
 * What containerd may ask a host for. `referrers` is known from 2.2; before that it makes containerd ignore the
 * whole file, as any word that it does not know.
 */
type Capability = 'pull' | 'resolve' | 'push' | 'referrers';

/** How containerd talks to a host: the keys of a `[host."URL"]` table, and those above all tables for `server`. */
export interface HostOptions {
  /** CA certificates: absolute paths, or below the folder of the file. */
  readonly ca?: readonly string[];
  /** Client certificates, each with its key unless both are in one file. */
  readonly client?: readonly (readonly [certificate: string, key?: string])[];
  readonly skipVerify?: boolean;
  readonly header?: Readonly<Record<string, readonly string[]>>;
  /** As Go writes durations: `200ms`. Known from containerd 2.0, ignored before. */
  readonly dialTimeout?: string;
  /** Whether the path of the URL is taken as it is, without `/v2`. */
  readonly overridePath?: boolean;
}

/** One host that containerd asks. */
export interface HostEntry extends HostOptions {
  readonly url: string;
  /** A file that names none, or an empty list, means pull, resolve and push. */
  readonly capabilities: readonly Capability[];
}

/** A `hosts.toml`, as containerd understands it: the hosts in the order in which they are asked, then the server. */
export interface HostsFile {
  /** Asked last; without it containerd asks the registry that the image's name tells. */
  readonly server?: string;
  /** How the server is talked to. */
  readonly serverOptions?: HostOptions & { readonly capabilities?: readonly Capability[] };
  readonly hosts: readonly HostEntry[];
}

/** The `hosts.toml` that a registry is to have. */
export interface RegistryHosts {
  /** Host with optional port as image names have it, or `_default`: every registry without a folder of its own. */
  readonly registry: string;
  readonly file: HostsFile;
}

/** Folder that containerd falls back to. */
export const DEFAULT_FOLDER = '_default';

/** Largest `hosts.toml` that is read, in bytes. */
export const MAX_HOSTS_TOML_BYTES = 1024 * 1024;

/** A `hosts.toml` that containerd would ignore as a whole. */
export class HostsTomlError extends Error {
  override readonly name = 'HostsTomlError';
  readonly code = 'ERR_HOSTS_TOML';
  /** Line of the file, from 1, as far as it is known. */
  readonly line: number | undefined;

  constructor(message: string, line?: number, options?: ErrorOptions) {
    super(line === undefined ? message : `line ${line}: ${message}`, options);
    this.line = line;
  }
}

const CAPABILITIES: ReadonlySet<string> = new Set<Capability>([
  'pull',
  'resolve',
  'push',
  'referrers',
]);

/**
 * Reads a `hosts.toml` as containerd does: keys that it does not know are passed over.
 *
 * @throws HostsTomlError for what makes containerd ignore the whole file
 */
export function parseHostsToml(text: string): HostsFile {
  if (text.length > MAX_HOSTS_TOML_BYTES) {
    throw new HostsTomlError(`more than ${MAX_HOSTS_TOML_BYTES} bytes`);
  }
  const root = parseToml(text);
  const reader = new TableReader(text, root);
  const server = reader.string('server');
  const serverOptions = readOptions(reader);
  const capabilities = readCapabilities(reader);
  const hosts = Object.entries(reader.table('host') ?? {}).map(([url, value]): HostEntry => {
    const line = lineOf(text, url);
    if (!isTable(value)) throw new HostsTomlError(`[host."${url}"] is no table`, line);
    checkUrl(url, line);
    const entry = new TableReader(text, value, url);
    return {
      url,
      capabilities: readCapabilities(entry) ?? ['pull', 'resolve', 'push'],
      ...readOptions(entry),
    };
  });
  const top = { ...(capabilities !== undefined && { capabilities }), ...serverOptions };
  return {
    ...(server !== undefined && server !== '' && { server }),
    ...(Object.keys(top).length > 0 && { serverOptions: top }),
    hosts,
  };
}

type Table = Record<string, unknown>;

function isTable(value: unknown): value is Table {
  const isObject = typeof value === 'object' && value !== null;
  return isObject && !Array.isArray(value) && !(value instanceof Date);
}

function parseToml(text: string): Table {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // The message goes on with an excerpt of the file, which may hold credentials.
    const [reason = 'no TOML'] = error.message.replace(/^Invalid TOML document: /, '').split('\n');
    throw new HostsTomlError(reason, error.line, { cause: error });
  }
}

/** containerd takes a host without scheme as https. */
function checkUrl(text: string, line: number | undefined): void {
  const url = text.startsWith('http') ? text : `https://${text}`;
  if (!URL.canParse(url)) throw new HostsTomlError(`"${text}" is no URL`, line);
}

/** The first line with `needle`, behind the first with `after`; from 1. */
function lineOf(text: string, needle: string, after = ''): number | undefined {
  const at = text.indexOf(needle, Math.max(0, text.indexOf(after)));
  return at < 0 ? undefined : text.slice(0, at).split('\n').length;
}

/** Reads the values of one table, and says where one is of the wrong type. */
class TableReader {
  readonly #text: string;
  readonly #values: Table;
  readonly #after: string;

  /** @param after what stands in the file before the table's keys */
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

  /** A string or a list of them. */
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

  /** A string, a list of them, or a list of pairs. */
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

function readCapabilities(reader: TableReader): Capability[] | undefined {
  const words = reader.list('capabilities')?.map((word) => word.toLowerCase()) ?? [];
  for (const word of words) {
    if (CAPABILITIES.has(word)) continue;
    reader.fail(
      'capabilities',
      `unknown capability "${word}"; containerd ignores the whole file. It knows pull, resolve and push`,
      word,
    );
  }
  return words.length === 0 ? undefined : (words as Capability[]);
}

function readOptions(reader: TableReader): HostOptions {
  const ca = reader.strings('ca');
  const client = reader.pairs('client');
  const skipVerify = reader.boolean('skip_verify');
  const dialTimeout = reader.string('dial_timeout');
  const overridePath = reader.boolean('override_path');
  const table = reader.table('header');
  const header =
    table &&
    Object.fromEntries(
      Object.keys(table).map((name) => [name, new TableReader('', table).strings(name) ?? []]),
    );
  return {
    ...(ca !== undefined && { ca }),
    ...(client !== undefined && { client }),
    ...(skipVerify !== undefined && { skipVerify }),
    ...(header !== undefined && { header }),
    ...(dialTimeout !== undefined && dialTimeout !== '' && { dialTimeout }),
    ...(overridePath !== undefined && { overridePath }),
  };
}

/** Writes a `hosts.toml` in the form that every containerd reads, and that Spegel writes. */
export function renderHostsToml({ server, serverOptions, hosts }: HostsFile): string {
  const top = [
    ...(server === undefined ? [] : [`server = ${renderString(server)}\n`]),
    ...renderOptions(serverOptions?.capabilities, serverOptions ?? {}),
  ].join('');
  return [...(top === '' ? [] : [top]), ...hosts.map(renderHost)].join('\n');
}

/** One `[host.'URL']` table. Headers stand inside it, so that the order of the tables is that of the hosts. */
export function renderHost(host: HostEntry): string {
  return [`[host.${renderString(host.url)}]\n`, ...renderOptions(host.capabilities, host)].join('');
}

function renderOptions(
  capabilities: readonly Capability[] | undefined,
  { ca, client, skipVerify, header, dialTimeout, overridePath }: HostOptions,
): string[] {
  const list = (items: readonly string[]): string => `[${items.map(renderString).join(', ')}]`;
  const pairs = (items: NonNullable<HostOptions['client']>): string =>
    `[${items.map(([certificate, key = '']) => list([certificate, key])).join(', ')}]`;
  const table = (items: NonNullable<HostOptions['header']>): string =>
    `{ ${Object.entries(items)
      .map(([name, values]) => `${renderString(name)} = ${list(values)}`)
      .join(', ')} }`;
  const rows: [string, string | undefined][] = [
    ['capabilities', capabilities && list(capabilities)],
    ['ca', ca && list(ca)],
    ['client', client && pairs(client)],
    ['skip_verify', skipVerify?.toString()],
    ['header', header && table(header)],
    ['dial_timeout', dialTimeout && renderString(dialTimeout)],
    ['override_path', overridePath?.toString()],
  ];
  return rows.flatMap(([key, value]) => (value === undefined ? [] : [`${key} = ${value}\n`]));
}

/** A literal string where that can hold the text, else a basic one. */
function renderString(text: string): string {
  if (/^[^'\u0000-\u001f\u007f]*$/.test(text)) return `'${text}'`;
  return JSON.stringify(text).replaceAll('\u007f', '\\u007f');
}

/**
 * The name of a registry's folder below `certs.d`, as Spegel and k3s make it. containerd looks for
 * {@link registryFolders}, and takes the first that exists.
 *
 * @param registry host with optional port, or `_default`
 * @throws HostsConfigError for what is no registry, and could lead out of the folder
 */
export function registryFolder(registry: string): string {
  if (registry === DEFAULT_FOLDER) return registry;
  const address = /^\[([^\]]*)\]/.exec(registry)?.[1];
  if (!isRegistry(registry) || (address !== undefined && isIP(address) !== 6)) {
    throw new HostsConfigError(`"${registry}" is no registry; write HOST, HOST:PORT or _default`);
  }
  return registry;
}

/** The names of folders in which containerd looks for a registry's `hosts.toml`, in its order. */
export function registryFolders(registry: string): string[] {
  const name = registryFolder(registry);
  const colon = name.lastIndexOf(':');
  const port = colon < 0 ? [] : [`${name.slice(0, colon)}_${name.slice(colon + 1)}_`];
  return [...port, name, ...(name === DEFAULT_FOLDER ? [] : [DEFAULT_FOLDER])];
}
