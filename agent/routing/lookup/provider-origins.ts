import { isIPv6 } from 'node:net';

import type { AddressedPeer } from '../node/address-book.ts';
import {
  DEFAULT_REGISTRY_PORT,
  leadsToNode,
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
  /** Whether a loopback address can lead to another node: true when this node announces one itself. */
  readonly loopback: boolean;
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
  const { loopback, connectedIp, tlsOnly = false } = options;
  const announced = announcedEndpoints(peer);
  const origins = (announced.length > 0 ? announced : assumedEndpoints(peer, options))
    .filter(({ scheme }) => scheme === 'https' || !tlsOnly)
    .filter((endpoint) => leadsToNode(endpoint, loopback))
    .sort((a, b) => rank(b, connectedIp) - rank(a, connectedIp))
    .map(({ scheme, ip, port }) => `${scheme}://${isIPv6(ip) ? `[${ip}]` : ip}:${String(port)}`);
  const unique = [...new Set(origins)].slice(0, MAX_ORIGINS);
  return unique.length === 0 ? undefined : { peerId: peer.peerId, origins: unique };
}

interface Endpoint extends SocketAddress {
  readonly scheme: 'http' | 'https';
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

/** The IP of the connection comes first, and for each IP https before http. */
function rank({ ip, scheme }: Endpoint, connectedIp: string | undefined): number {
  return (ip === connectedIp ? 2 : 0) + (scheme === 'https' ? 1 : 0);
}
