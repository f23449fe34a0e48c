import { isRegistry } from '../../oci/reference.ts';
import {
  DEFAULT_FOLDER,
  type HostEntry,
  type HostOptions,
  type RegistryHosts,
} from '../hosts-toml.ts';
import {
  DOCKER_HUB_HOST,
  configOf,
  isLocalRegistry,
  type Endpoint,
  type Registries,
} from './registries.ts';

/** Options of {@link registryHosts}. */
export interface RegistryHostsInit {
  /** The peerglass mirrors, at least one. containerd tries them first. */
  readonly mirrors: readonly HostEntry[];
  /** Whether containerd tries the registry itself last. Default true. */
  readonly defaultEndpoint?: boolean;
}

/** The `hosts.toml` files for a registries.yaml, and warnings about settings that they cannot express. */
export interface RenderedRegistries {
  readonly hosts: readonly RegistryHosts[];
  /** One line each, without credentials. */
  readonly warnings: readonly string[];
}

/**
 * Translates a registries.yaml into `hosts.toml` files, as k3s does for its containerd: the mirror first, then the
 * endpoints in their order with their TLS settings, then the registry itself. A registry that has only TLS settings gets a
 * file with them. Registries on the node itself are not mirrored.
 *
 * Credentials are never written, because every user of the node can read the files. k3s passes them in containerd's main
 * configuration. Only the containerd of k3s and RKE2 supports rewrites.
 */
export function registryHosts(
  registries: Registries,
  { mirrors: ours, defaultEndpoint = true }: RegistryHostsInit,
): RenderedRegistries {
  const { mirrors, configs } = registries;
  const withTls = [...configs].filter(([, { tls }]) => tls !== undefined).map(([host]) => host);
  const names = new Set([...mirrors.keys(), ...withTls]);
  const hosts: RegistryHosts[] = [];
  for (const name of names) {
    // No image has such a name, and no folder may have it.
    if (name !== '*' && !isRegistry(name)) continue;
    const isLocal = isLocalRegistry(name);
    const mirror = mirrors.get(name) ?? (isLocal ? undefined : mirrors.get('*'));
    const own = isLocal || mirror === undefined ? [] : ours;
    const endpoints = (mirror?.endpoints ?? [])
      .filter(({ url }) => !own.some((each) => each.url === url))
      .map((endpoint) => hostEntry(registries, endpoint));
    const server = serverOf(name);
    // The server is tried last anyway.
    if (defaultEndpoint && endpoints.at(-1)?.url === server) endpoints.pop();
    const all = [...own, ...endpoints];
    const last = all[0];
    const options = tlsOptions(registries, name);
    const noDefault = !defaultEndpoint && mirror !== undefined && last !== undefined;
    if (all.length === 0 && Object.keys(options).length === 0) continue;
    hosts.push({
      registry: name === '*' ? DEFAULT_FOLDER : name,
      file: {
        ...(noDefault
          ? serverFrom(last)
          : { ...(server !== undefined && { server }), serverOptions: options }),
        hosts: all,
      },
    });
  }
  return { hosts, warnings: warningsOf(registries) };
}

/** Names the first host as the server again: without a server containerd would fall back to the registry. */
function serverFrom({
  url,
  ...options
}: HostEntry): Pick<RegistryHosts['file'], 'server' | 'serverOptions'> {
  return { server: url, serverOptions: options };
}

/** URL of the registry itself; undefined for `*` and local registries, for which containerd decides itself. */
function serverOf(registry: string): string | undefined {
  if (registry === '*' || isLocalRegistry(registry)) return undefined;
  return `https://${registry === 'docker.io' ? DOCKER_HUB_HOST : registry}`;
}

function hostEntry(registries: Registries, { url, host, overridesPath }: Endpoint): HostEntry {
  // With TLS settings containerd would try https first, even for an http URL.
  const options = url.startsWith('https:') ? tlsOptions(registries, host) : {};
  return {
    url,
    capabilities: ['pull', 'resolve'],
    ...options,
    ...(overridesPath && { overridePath: true }),
  };
}

function tlsOptions(registries: Registries, host: string): HostOptions {
  const { tls } = configOf(registries, host);
  if (tls === undefined) return {};
  const { caFile, certFile, keyFile, insecureSkipVerify } = tls;
  return {
    ...(caFile !== undefined && { ca: [caFile] }),
    ...(certFile !== undefined && keyFile !== undefined && { client: [[certFile, keyFile]] }),
    ...(insecureSkipVerify && { skipVerify: true }),
  };
}

function warningsOf({ mirrors, configs }: Registries): string[] {
  const auth = [...configs]
    .filter(([, config]) => config.auth !== undefined)
    .map(
      ([host]) =>
        `the credentials for ${host} are not written to hosts.toml, which others can read: give them as image pull secret, or in containerd's own configuration`,
    );
  const rewrites = [...mirrors]
    .filter(([, mirror]) => mirror.rewrites.length > 0)
    .map(
      ([registry]) =>
        `the rewrite of ${registry} is left out: only the containerd of k3s and RKE2 can rewrite`,
    );
  return [...auth, ...rewrites];
}
