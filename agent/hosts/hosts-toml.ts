import { isIP } from 'node:net';

import { isRegistry } from '../oci/reference.ts';
import { HostsConfigError } from './hosts-error.ts';
import { HostsTomlError, TableReader, isTable, lineOf, parseToml } from './toml-table.ts';

/**
 * What containerd may request from a host. `referrers` exists since containerd 2.2. An older containerd ignores the whole
 * file because of it, as because of any unknown word.
 */
export type Capability = 'pull' | 'resolve' | 'push' | 'referrers';

/** How containerd connects to a host: the keys of a `[host."URL"]` table, or those above all tables for `server`. */
export interface HostOptions {
  /** CA certificates: absolute paths, or paths relative to the folder of the file. */
  readonly ca?: readonly string[];
  /** Client certificates, each with its key unless both are in one file. */
  readonly client?: readonly (readonly [certificate: string, key?: string])[];
  readonly skipVerify?: boolean;
  readonly header?: Readonly<Record<string, readonly string[]>>;
  /** A duration in Go's format: `200ms`. Used since containerd 2.0, ignored before. */
  readonly dialTimeout?: string;
  /** Whether containerd uses the path of the URL instead of `/v2`. */
  readonly overridePath?: boolean;
}

/** One host that containerd pulls from. */
export interface HostEntry extends HostOptions {
  readonly url: string;
  /** Without the key, or with an empty list, containerd assumes pull, resolve and push. */
  readonly capabilities: readonly Capability[];
}

/** A `hosts.toml`: containerd tries the hosts in their order, then the server. */
export interface HostsFile {
  /** Tried last. Without it containerd tries the registry of the image's name. */
  readonly server?: string;
  /** How containerd connects to the server. */
  readonly serverOptions?: HostOptions & { readonly capabilities?: readonly Capability[] };
  readonly hosts: readonly HostEntry[];
}

/** The wanted `hosts.toml` of a registry. */
export interface RegistryHosts {
  /** Host with optional port, as in image names; or `_default`, for every registry without a folder of its own. */
  readonly registry: string;
  readonly file: HostsFile;
}

/** The folder that containerd reads when a registry has no folder of its own. */
export const DEFAULT_FOLDER = '_default';

/** Maximum size of a `hosts.toml`, in bytes. */
export const MAX_HOSTS_TOML_BYTES = 1024 * 1024;

const CAPABILITIES: ReadonlySet<string> = new Set<Capability>([
  'pull',
  'resolve',
  'push',
  'referrers',
]);

/**
 * Parses a `hosts.toml` as containerd does. Unknown keys are ignored.
 *
 * @throws HostsTomlError for mistakes because of which containerd ignores the whole file
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
    if (!isTable(value)) throw new HostsTomlError(`[host."${url}"] is not a table`, line);
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

/** containerd assumes https for a host without a scheme. */
function checkUrl(text: string, line: number | undefined): void {
  const url = text.startsWith('http') ? text : `https://${text}`;
  if (!URL.canParse(url)) throw new HostsTomlError(`"${text}" is not a URL`, line);
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
 * The name of a registry's folder below `certs.d`, as Spegel and k3s choose it. containerd reads the first of
 * {@link registryFolders} that exists.
 *
 * @param registry host with optional port, or `_default`
 * @throws HostsConfigError for anything else, which could lead out of `certs.d`
 */
export function registryFolder(registry: string): string {
  if (registry === DEFAULT_FOLDER) return registry;
  const address = /^\[([^\]]*)\]/.exec(registry)?.[1];
  if (!isRegistry(registry) || (address !== undefined && isIP(address) !== 6)) {
    throw new HostsConfigError(
      `"${registry}" is not a registry; write HOST, HOST:PORT or _default`,
    );
  }
  return registry;
}

/** The names of the folders in which containerd looks for a registry's `hosts.toml`, in its order. */
export function registryFolders(registry: string): string[] {
  const name = registryFolder(registry);
  const colon = name.lastIndexOf(':');
  const port = colon < 0 ? [] : [`${name.slice(0, colon)}_${name.slice(colon + 1)}_`];
  return [...port, name, ...(name === DEFAULT_FOLDER ? [] : [DEFAULT_FOLDER])];
}

/** The registry whose folder has this name: `10.0.0.9:5000` for `10.0.0.9_5000_`. */
export function registryOfFolder(name: string): string {
  return name.replace(/^(.+)_(\d{1,5})_$/, '$1:$2');
}
