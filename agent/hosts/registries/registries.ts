import { isIPv4, isIPv6 } from 'node:net';

import type { Secret } from './secret.ts';

/**
 * What k3s and RKE2 are told in registries.yaml: where images of a registry are asked for, and how.
 *
 * @see https://docs.k3s.io/installation/private-registry
 */
export interface Registries {
  /** By registry as in image names (`docker.io`, `10.0.0.9:5000`); `*` stands for every registry. In file order. */
  readonly mirrors: ReadonlyMap<string, Mirror>;
  /** How hosts are spoken to, by the host and port of an endpoint or registry; `*` for every registry. */
  readonly configs: ReadonlyMap<string, HostConfig>;
}

/** What stands under a registry in `mirrors`. */
export interface Mirror {
  /** Asked in this order, before the registry itself. Empty: only the registry. */
  readonly endpoints: readonly Endpoint[];
  /** In file order. Only the containerd inside k3s and RKE2 can rewrite. */
  readonly rewrites: readonly Rewrite[];
}

/** A registry that is asked in the place of another. */
export interface Endpoint {
  /** `https://10.0.0.9:5000`, with a path only when {@link overridesPath}. */
  readonly url: string;
  /** The key of its settings in {@link Registries.configs}: host and port as written, Docker Hub as `docker.io`. */
  readonly host: string;
  /** Whether the path of the URL stands in the place of `/v2` (containerd's `override_path`). */
  readonly overridesPath: boolean;
}

/** A repository name that is asked for under another name. */
export interface Rewrite {
  /** Regular expression in the syntax of RE2. */
  readonly pattern: string;
  /** With `$1` for groups. */
  readonly replacement: string;
}

/** What stands under a host in `configs`. */
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

/** How a host proves itself, and this node to it. Paths as written. */
export interface RegistryTls {
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
  readonly insecureSkipVerify: boolean;
}

/** Where Docker Hub's registry really is. */
export const DOCKER_HUB_HOST = 'registry-1.docker.io';

/**
 * Whether a registry is on this node itself: `localhost` or a loopback address, with or without a port.
 * k3s never shares such: the name means another registry on every node.
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
 * Names of the registries whose images are shared, as k3s does it: those under `mirrors`, or `*` for all,
 * and never those of the node itself.
 */
export function sharedRegistries({ mirrors }: Registries): string[] {
  return [...mirrors.keys()].filter((registry) => !isLocalRegistry(registry));
}

/** The settings of a host; for Docker Hub those under its real host name come first, as in k3s. */
export function configOf({ configs }: Registries, host: string): HostConfig {
  const hub = host === 'docker.io' ? configs.get(DOCKER_HUB_HOST) : undefined;
  return hub ?? configs.get(host) ?? {};
}
