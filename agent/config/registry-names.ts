import { isIP } from 'node:net';

import { canonicalRegistry, isRegistry } from '../oci/reference.ts';

/** A registry of an option. */
export interface MirroredRegistry {
  /** Host with optional port as image names have it: `docker.io`, `10.0.0.9:5000`, `[fd00::1]:5000`. */
  readonly registry: string;
  /** URL of the registry; absent for loopback, where containerd itself chooses http or https. */
  readonly server?: string;
}

/** Docker Hub: its name in images, and its URL. */
const DOCKER_HUB = { registry: 'docker.io', server: 'https://registry-1.docker.io' } as const;

/** Parts of a URL or host. */
interface Origin {
  readonly scheme: string | undefined;
  /** In lower case, with the port as it was written. */
  readonly host: string;
}

/**
 * Parses a registry: `https://docker.io`, `ghcr.io`, `10.0.0.9:5000`.
 *
 * @returns undefined for `*` and `_default`, which mean all registries
 * @throws Error with what is wrong and what to write
 */
export function parseRegistryName(text: string): MirroredRegistry | undefined {
  if (text === '*' || text === '_default') return undefined;
  const { scheme, host } = parseOrigin(text, 'registry');
  const registry = canonicalRegistry(host);
  if (registry === DOCKER_HUB.registry) return DOCKER_HUB;
  if (scheme === undefined && isLoopback(host)) return { registry };
  return { registry, server: `${scheme ?? 'https'}://${host}` };
}

/** A token server that a registry names, and that is in another domain. */
export interface TokenServer {
  /** Canonical. */
  readonly registry: string;
  /** Host, with its port unless that is the one of the scheme. */
  readonly host: string;
}

/**
 * Parses `REGISTRY=HOST`: `registry.example=login.example.org`.
 *
 * @throws Error with what is wrong and what to write
 */
export function parseTokenServer(text: string): TokenServer {
  const [, registry = '', host = ''] = /^([^=]*)=([^=]*)$/.exec(text) ?? [];
  if (!isHost(registry) || !isHost(host)) {
    throw new Error(
      `"${text}" is no token server; write REGISTRY=HOST, as registry.example=login.example.org`,
    );
  }
  return { registry: canonicalRegistry(registry), host: host.toLowerCase() };
}

/** An IPv6 address without brackets, followed by a port. */
const BARE_IPV6 = /^((?:[^/]*:\/\/)?)([\da-f:.]*):(\d{1,5})(\/?)$/i;

/**
 * Parses the URL of a mirror: `http://127.0.0.1:5000`. Without a scheme it is http. An IPv6 address may be without
 * brackets when its port is unambiguous: kubelet substitutes `$(NODE_IP)` without brackets.
 *
 * @throws Error with what is wrong and what to write
 */
export function parseMirrorTarget(text: string): string {
  const [, before = '', address = '', port = '', slash = ''] = BARE_IPV6.exec(text) ?? [];
  const isBare = isIP(address) === 6 && isIP(`${address}:${port}`) === 0;
  const url = isBare ? `${before}[${address}]:${port}${slash}` : text;
  const { scheme = 'http', host } = parseOrigin(url, 'mirror');
  return `${scheme}://${host}`;
}

function parseOrigin(text: string, what: string): Origin {
  const [, scheme, rest = ''] = /^(?:([^/]*):\/\/)?(.*)$/s.exec(text) ?? [];
  const hint = what === 'mirror' ? 'http://HOST:PORT' : 'docker.io or https://HOST:PORT';
  // The text before an @ may be a password, so no message repeats it.
  if (text.includes('@'))
    throw new Error(`user and password do not belong to a ${what}; write ${hint}`);
  if (scheme !== undefined && !/^https?$/i.test(scheme)) {
    throw new Error(`"${text}" is no ${what}: its scheme is not http or https; write ${hint}`);
  }
  if (/[?#]/.test(rest)) throw new Error(`"${text}" is no ${what}: it has a query; write ${hint}`);
  const host = rest.replace(/\/$/, '').toLowerCase();
  if (host.includes('/')) throw new Error(`"${text}" is no ${what}: it has a path; write ${hint}`);
  if (isIP(host) === 6)
    throw new Error(`"${text}" is no ${what}: write [${host}], or [${host}]:PORT`);
  if (!isHost(host)) throw new Error(`"${text}" is no ${what}; write ${hint}`);
  return { scheme: scheme?.toLowerCase(), host };
}

function isHost(host: string): boolean {
  if (!isRegistry(host)) return false;
  const [, address, port = '1'] = /^(?:\[([^\]]*)\]|[^:]*)(?::(\d+))?$/.exec(host) ?? [];
  return (
    (address === undefined || isIP(address) === 6) && Number(port) > 0 && Number(port) < 65_536
  );
}

/** Whether the host is on loopback, where containerd tries http without configuration. */
function isLoopback(host: string): boolean {
  return /^(?:localhost|127(?:\.\d+){3}|\[::1\])(?::\d+)?$/.test(host);
}
