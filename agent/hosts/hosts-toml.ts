import { isIP } from 'node:net';

import { isRegistry } from '../oci/reference.ts';
import { HostsConfigError } from './hosts-error.ts';
import { HostsTomlError, TableReader, isTable, lineOf, parseToml } from './toml-table.ts';

/**
 * What containerd may ask a host for. `referrers` is known from 2.2; before that it makes containerd ignore the
 * whole file, as any word that it does not know.
 */
export type Capability = 'pull' | 'resolve' | 'push' | 'referrers';

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

/** containerd takes a host without scheme as https. */
function checkUrl(text: string, line: number | undefined): void {
  const url = text.startsWith('http') ? text : `https://${text}`;
  if (!URL.canParse(url)) throw new HostsTomlError(`"${text}" is no URL`, line);
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
