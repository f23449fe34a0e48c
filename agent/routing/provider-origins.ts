import { isIPv6 } from 'node:net';

import type { AddressedPeer } from './address-book.ts';
import {
  DEFAULT_REGISTRY_PORT,
  isRegistryAddress,
  leadsToNode,
  tcpAddress,
} from './announced-addresses.ts';
import type { Provider } from './router.ts';

/** Origins kept of one provider. */
const MAX_ORIGINS = 4;

/** Options of {@link providerFromPeer}. */
export interface ProviderFromPeerOptions {
  /** Our own registry port: that of a peer of Spegel, which announces none, unless it is the default. */
  readonly registryPort: number;
  /** Whether a loopback address can lead to another node; so when we announce one ourselves. */
  readonly loopback: boolean;
  /** The IP at which we are connected with the peer, which is the best one: it is known to work. */
  readonly connectedIp?: string;
}

/**
 * Where a provider's registry is: as its `/http` addresses say, or else at each of its IPs with the port
 * that we use ourselves, then with the default one. Undefined when no address of it is of use.
 */
export function providerFromPeer(
  peer: AddressedPeer,
  options: ProviderFromPeerOptions,
): Provider | undefined {
  const { registryPort, loopback, connectedIp } = options;
  const announced = peer.multiaddrs.filter(isRegistryAddress);
  const sockets =
    announced.length > 0
      ? announced.map(tcpAddress)
      : [registryPort, DEFAULT_REGISTRY_PORT].flatMap((port) =>
          peer.multiaddrs.map(tcpAddress).map((socket) => socket && { ...socket, port }),
        );
  const origins = sockets
    .filter((socket) => socket !== undefined)
    .filter((socket) => leadsToNode(socket, loopback))
    .sort((a, b) => Number(b.ip === connectedIp) - Number(a.ip === connectedIp))
    .map(({ ip, port }) => `http://${isIPv6(ip) ? `[${ip}]` : ip}:${String(port)}`);
  const unique = [...new Set(origins)].slice(0, MAX_ORIGINS);
  return unique.length === 0 ? undefined : { peerId: peer.peerId, origins: unique };
}
