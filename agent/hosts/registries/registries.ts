import { isIPv4, isIPv6 } from 'node:net';

import { isRegistry } from '../../oci/reference.ts';
import type { Secret } from './secret.ts';

/**
 * The content of a registries.yaml of k3s or RKE2: from where images of a registry are pulled, and how.
 *
 * @see https://docs.k3s.io/installation/private-registry
 */
export interface Registries {
  /** By registry as in image names (`docker.io`, `10.0.0.9:5000`); `*` means every registry. In file order. */
  readonly mirrors: ReadonlyMap<string, Mirror>;
  /** Connection settings, by host and port of an endpoint or registry; `*` means every registry. */
  readonly configs: ReadonlyMap<string, HostConfig>;
}

/** The entry of a registry under `mirrors`. */
export interface Mirror {
  /** Tried in this order, before the registry itself. If empty, only the registry is used. */
  readonly endpoints: readonly Endpoint[];
  /** In file order. Only the containerd of k3s and RKE2 supports them. */
  readonly rewrites: readonly Rewrite[];
}

/** A registry that is used instead of another. */
export interface Endpoint {
  /** `https://10.0.0.9:5000`, with a path only when {@link overridesPath}. */
  readonly url: string;
  /** Key of its settings in {@link Registries.configs}: host and port as written, or `docker.io` for Docker Hub. */
  readonly host: string;
  /** Whether the path of the URL replaces `/v2` (containerd's `override_path`). */
  readonly overridesPath: boolean;
}

/** A rule that pulls repositories under another name. */
export interface Rewrite {
  /** Regular expression in the syntax of RE2. */
  readonly pattern: string;
  /** The new name, with `$1` for groups. */
  readonly replacement: string;
}

/** The entry of a host under `configs`. */
export interface HostConfig {
  readonly auth?: RegistryAuth;
  readonly tls?: RegistryTls;
}

/** Credentials for a host. */
export interface RegistryAuth {
  readonly username?: Secret;
  readonly password?: Secret;
  /** Base64 of `username:password`. */
  readonly auth?: Secret;
  readonly identityToken?: Secret;
}

/** TLS settings for a host. Paths are as written. */
export interface RegistryTls {
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
  readonly insecureSkipVerify: boolean;
}

/** The host that serves the registry of Docker Hub. */
export const DOCKER_HUB_HOST = 'registry-1.docker.io';

/**
 * Whether a registry is on this node itself: `localhost` or a loopback address, with or without a port.
 * k3s never shares such a registry, because the name means another one on every node.
 *
 * @see containerd core/remotes/docker, IsLocalhost
 */
export function isLocalRegistry(registry: string): boolean {
  const host = /^(\[[^\]]*\]|[^:]*)(?::\d+)?$/.exec(registry)?.[1] ?? registry;
  const bare = host.replace(/^\[(.*)\]$/, '$1');
  if (bare === 'localhost') return true;
  if (isIPv4(bare)) return bare.startsWith('127.');
  return isIPv6(bare) && /^(?:0*:)*:?0*1$/.test(bare);
}

/**
 * Names of the registries whose images are shared, by the rule of k3s: those under `mirrors`, where `*` means all, except
 * those on the node itself. Where all are names that no image has, they are returned: nothing is shared then.
 */
export function sharedRegistries({ mirrors }: Registries): string[] {
  const names = [...mirrors.keys()].filter((registry) => !isLocalRegistry(registry));
  const usable = names.filter((name) => name === '*' || isRegistry(name));
  return usable.length > 0 ? usable : names;
}

/** The settings of a host. For Docker Hub, settings under its real host name take precedence, as in k3s. */
export function configOf({ configs }: Registries, host: string): HostConfig {
  const hub = host === 'docker.io' ? configs.get(DOCKER_HUB_HOST) : undefined;
  return hub ?? configs.get(host) ?? {};
}
