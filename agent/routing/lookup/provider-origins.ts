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

/** Origins kept of one provider. */
const MAX_ORIGINS = 4;

/** Options of {@link providerFromPeer}. */
export interface ProviderFromPeerOptions {
  /** Our own registry port: that of a peer of Spegel, which announces none, unless it is the default. */
  readonly registryPort: number;
  /** Whether peers are asked by https only; those that have none are not asked then. Default: no. */
  readonly tlsOnly?: boolean;
  /** Whether a loopback address can lead to another node; so when we announce one ourselves. */
  readonly loopback: boolean;
  /** The IP at which we are connected with the peer, which is the best one: it is known to work. */
  readonly connectedIp?: string;
}

/**
 * Where a provider's registry is: as its `/http` and `/tls/http` addresses say, or else at each of its IPs with the
 * port that we use ourselves, then with the default one. Undefined when no address of it is of use.
 */
export function providerFromPeer(
  peer: AddressedPeer,
  options: ProviderFromPeerOptions,
): Provider | undefined {
  const { loopback, connectedIp, tlsOnly = false } = options;
  const places = announcedPlaces(peer);
  const origins = (places.length > 0 ? places : assumedPlaces(peer, options))
    .filter(({ scheme }) => scheme === 'https' || !tlsOnly)
    .filter((place) => leadsToNode(place, loopback))
    .sort((a, b) => rank(b, connectedIp) - rank(a, connectedIp))
    .map(({ scheme, ip, port }) => `${scheme}://${isIPv6(ip) ? `[${ip}]` : ip}:${String(port)}`);
  const unique = [...new Set(origins)].slice(0, MAX_ORIGINS);
  return unique.length === 0 ? undefined : { peerId: peer.peerId, origins: unique };
}

interface Place extends SocketAddress {
  readonly scheme: 'http' | 'https';
}

function announcedPlaces({ multiaddrs }: AddressedPeer): Place[] {
  return multiaddrs.flatMap((address) => {
    const scheme = registryScheme(address);
    const socket = tcpAddress(address);
    return scheme === undefined || socket === undefined ? [] : [{ ...socket, scheme }];
  });
}

function assumedPlaces(
  { multiaddrs }: AddressedPeer,
  { registryPort }: ProviderFromPeerOptions,
): Place[] {
  const sockets = multiaddrs.map(tcpAddress).filter((socket) => socket !== undefined);
  return [registryPort, DEFAULT_REGISTRY_PORT].flatMap((port) =>
    sockets.map(({ ip }) => ({ ip, port, scheme: 'http' as const })),
  );
}

/** The address at which we are connected comes first, and of one address the way by TLS. */
function rank({ ip, scheme }: Place, connectedIp: string | undefined): number {
  return (ip === connectedIp ? 2 : 0) + (scheme === 'https' ? 1 : 0);
}
