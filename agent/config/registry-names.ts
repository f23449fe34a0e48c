import { isIP } from 'node:net';

import { canonicalRegistry, isRegistry } from '../oci/reference.ts';

/** A registry as an option names it. */
export interface MirroredRegistry {
  /** Host with optional port as image names have it: `docker.io`, `10.0.0.9:5000`, `[fd00::1]:5000`. */
  readonly registry: string;
  /** Where the registry itself is; undefined where containerd knows better (localhost, plain or not). */
  readonly server?: string;
}

/** Docker Hub, as image names have it and as it is asked. */
const DOCKER_HUB = { registry: 'docker.io', server: 'https://registry-1.docker.io' } as const;

/** A URL or host name taken apart. */
interface Origin {
  readonly scheme: string | undefined;
  /** In lower case, with the port as it was written. */
  readonly host: string;
}

/**
 * Reads a registry: `https://docker.io`, `ghcr.io`, `10.0.0.9:5000`. `*` and `_default` mean all, and give undefined.
 *
 * @throws Error that says what is wrong with it
 */
export function parseRegistryName(text: string): MirroredRegistry | undefined {
  if (text === '*' || text === '_default') return undefined;
  const { scheme, host } = parseOrigin(text, 'registry');
  const registry = canonicalRegistry(host);
  if (registry === DOCKER_HUB.registry) return DOCKER_HUB;
  if (scheme === undefined && isLoopback(host)) return { registry };
  return { registry, server: `${scheme ?? 'https'}://${host}` };
}

/** An IPv6 address and a port behind it that can be nothing else, in the place of a host. */
const BARE_IPV6 = /^((?:[^/]*:\/\/)?)([\da-f:.]*):(\d{1,5})(\/?)$/i;

/**
 * Reads the address of a mirror: `http://127.0.0.1:5000`, or without the scheme, which is then http. An IPv6 address may
 * stand without brackets where it is clear what of it is the port: kubelet puts it like that in the place of `$(NODE_IP)`.
 *
 * @throws Error that says what is wrong with it
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
  // Whatever is before an @ may be a password.
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

/** For these containerd tries http by itself. */
function isLoopback(host: string): boolean {
  return /^(?:localhost|127(?:\.\d+){3}|\[::1\])(?::\d+)?$/.test(host);
}
