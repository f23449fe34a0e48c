import { isIP, isIPv6 } from 'node:net';

import type { AddressedPeer } from '../node/address-book.ts';
import {
  DEFAULT_REGISTRY_PORT,
  registryScheme,
  tcpAddress,
  type SocketAddress,
} from '../node/announced-addresses.ts';
import type { Provider } from '../router.ts';

/** Maximum number of origins of one provider. */
const MAX_ORIGINS = 4;

/** Options of {@link providerFromPeer}. */
export interface ProviderFromPeerOptions {
  /** Our own registry port. It is assumed of peers of Spegel, which announce none, before the default port. */
  readonly registryPort: number;
  /** Whether only peers with https are providers. Default: no. */
  readonly tlsOnly?: boolean;
  /** Whether a node can be at the address. */
  readonly allows: (socket: SocketAddress) => boolean;
  /** The IP of the connection with the peer. It comes first, because it is known to work. */
  readonly connectedIp?: string;
}

/**
 * Where a provider's registry is. Its `/http` and `/tls/http` addresses name it. A peer without such addresses is
 * assumed to have it at each of its IPs: at our own registry port, then at the default one. Undefined when it has no
 * usable address.
 */
export function providerFromPeer(
  peer: AddressedPeer,
  options: ProviderFromPeerOptions,
): Provider | undefined {
  const { allows, connectedIp, tlsOnly = false } = options;
  const announced = announcedEndpoints(peer);
  const hasTls = announced.some(({ scheme }) => scheme === 'https');
  const origins = (announced.length > 0 ? announced : assumedEndpoints(peer, options))
    // A peer that announces TLS is not asked without it, also when the connection fails.
    .filter(({ scheme }) => scheme === 'https' || !hasTls)
    .filter(({ scheme }) => scheme === 'https' || !tlsOnly)
    .filter(allows)
    .sort((a, b) => rank(b, connectedIp) - rank(a, connectedIp))
    .map(({ scheme, ip, port }) => `${scheme}://${isIPv6(ip) ? `[${ip}]` : ip}:${String(port)}`);
  const unique = [...new Set(origins)].slice(0, MAX_ORIGINS);
  return unique.length === 0 ? undefined : { peerId: peer.peerId, origins: unique };
}

/** Where a registry is. */
export interface Endpoint extends SocketAddress {
  readonly scheme: 'http' | 'https';
}

/** The registry at a base URL; undefined when it is not an origin with an IP address, as {@link providerFromPeer} makes. */
export function endpointOf(origin: string): Endpoint | undefined {
  const url = URL.parse(origin);
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') return undefined;
  const [scheme, port] =
    url.protocol === 'https:' ? (['https', 443] as const) : (['http', 80] as const);
  // Neither credentials, a path nor an unusual form of the IP. The default port may be there.
  if (origin !== url.origin && origin !== `${url.origin}:${String(port)}`) return undefined;
  const ip = url.hostname.replace(/^\[(.*)\]$/, '$1');
  if (isIP(ip) === 0) return undefined;
  return { scheme, ip, port: Number(url.port) || port };
}

function announcedEndpoints({ multiaddrs }: AddressedPeer): Endpoint[] {
  return multiaddrs.flatMap((address) => {
    const scheme = registryScheme(address);
    const socket = tcpAddress(address);
    return scheme === undefined || socket === undefined ? [] : [{ ...socket, scheme }];
  });
}

function assumedEndpoints(
  { multiaddrs }: AddressedPeer,
  { registryPort }: ProviderFromPeerOptions,
): Endpoint[] {
  const sockets = multiaddrs.map(tcpAddress).filter((socket) => socket !== undefined);
  return [registryPort, DEFAULT_REGISTRY_PORT].flatMap((port) =>
    sockets.map(({ ip }) => ({ ip, port, scheme: 'http' as const })),
  );
}

/** The IP of the connection comes first. */
function rank({ ip }: Endpoint, connectedIp: string | undefined): number {
  return ip === connectedIp ? 1 : 0;
}
