import { BlockList, isIP, isIPv6 } from 'node:net';

import { multiaddr } from '@multiformats/multiaddr';
import type { Multiaddr } from '@multiformats/multiaddr';

/**
 * Maximum number of announced IP addresses. A node with container bridges has many that lead nowhere; they come last, see
 * `AddressOrder`.
 */
const MAX_ANNOUNCED_ADDRESSES = 8;

/** Addresses that no node can have: unspecified, link-local, multicast, and reserved up to broadcast. */
const NO_NODE_4 = new BlockList();
NO_NODE_4.addSubnet('0.0.0.0', 8, 'ipv4');
NO_NODE_4.addSubnet('169.254.0.0', 16, 'ipv4');
NO_NODE_4.addSubnet('224.0.0.0', 3, 'ipv4');

/**
 * The same for IPv6, with IPv4-mapped and IPv4-compatible addresses: no node announces itself like that. It is a
 * separate list because Node.js matches every IPv4 address with `::ffff:0:0/96`.
 */
const NO_NODE_6 = new BlockList();
NO_NODE_6.addSubnet('::', 96, 'ipv6');
NO_NODE_6.addSubnet('::ffff:0:0', 96, 'ipv6');
NO_NODE_6.addSubnet('fe80::', 10, 'ipv6');
NO_NODE_6.addSubnet('ff00::', 8, 'ipv6');

/** The port of a registry that is not announced: Spegel's default and ours. */
export const DEFAULT_REGISTRY_PORT = 5000;

/** The registry of a node. */
export interface RegistryEndpoint {
  readonly port: number;
  /** Whether it speaks TLS at that port. */
  readonly tls: boolean;
}

/** An IP address and a TCP port. */
export interface SocketAddress {
  readonly ip: string;
  readonly port: number;
}

/**
 * The addresses that a node announces, made from those that it listens on.
 *
 * They are the ones that other hosts can reach: loopback only when there is nothing else, link-local never. For each IP
 * its registry is added as `/ip4/<ip>/tcp/<port>/http` when it is not at {@link DEFAULT_REGISTRY_PORT}, or as
 * `/ip4/<ip>/tcp/<port>/tls/http`, which makes other agents use https. Spegel takes the IP from any address and assumes
 * its own registry port, so it has no use for these. Each further address of a node makes Spegel wait 15 ms longer
 * before it uses the first, so none is added without need.
 *
 * @param sort puts the addresses first that others reach; by default they stay in the order of the system
 */
export function announcedAddresses(
  listening: readonly Multiaddr[],
  registry?: RegistryEndpoint,
  sort: (sockets: readonly SocketAddress[]) => readonly SocketAddress[] = (sockets) => sockets,
): Multiaddr[] {
  const sockets = listening.map(tcpAddress).filter((socket) => socket !== undefined);
  const routable = sockets.filter((socket) => leadsToNode(socket, false));
  const announced =
    routable.length > 0 ? routable : sockets.filter((socket) => leadsToNode(socket, true));
  const texts = new Set<string>();
  for (const { ip, port } of sort(announced).slice(0, MAX_ANNOUNCED_ADDRESSES)) {
    texts.add(toText(ip, port));
    if (registry?.tls === true) texts.add(`${toText(ip, registry.port)}/tls/http`);
    else if (registry !== undefined && registry.port !== DEFAULT_REGISTRY_PORT) {
      texts.add(`${toText(ip, registry.port)}/http`);
    }
  }
  return [...texts].map((text) => multiaddr(text));
}

/** The IP and port of an address `/ip4|ip6/.../tcp/...`, whatever follows it. */
export function tcpAddress(address: Multiaddr): SocketAddress | undefined {
  const [ip, tcp] = address.getComponents();
  if (ip?.value === undefined || tcp?.value === undefined) return undefined;
  if ((ip.name !== 'ip4' && ip.name !== 'ip6') || tcp.name !== 'tcp') return undefined;
  return { ip: ip.value, port: Number(tcp.value) };
}

/** Whether the address is that of a registry. */
export function isRegistryAddress(address: Multiaddr): boolean {
  return registryScheme(address) !== undefined;
}

/** The URL scheme of the registry at the address; undefined when the address is not that of a registry. */
export function registryScheme(address: Multiaddr): 'http' | 'https' | undefined {
  const [, , first, second] = address.getComponents();
  if (first?.name === 'http') return 'http';
  // `/https` is the older form of `/tls/http`.
  if (first?.name === 'https') return 'https';
  return first?.name === 'tls' && second?.name === 'http' ? 'https' : undefined;
}

export function isLoopback(ip: string): boolean {
  return ip === '::1' || ip.startsWith('127.');
}

/**
 * Whether another node can be at the address. A malicious peer may name an address of something else, such as the
 * metadata service of a cloud, which trusts requests from its own host.
 *
 * @param loopback whether a loopback address can lead to another node, as in tests on one host
 */
export function leadsToNode({ ip, port }: SocketAddress, loopback: boolean): boolean {
  if (!Number.isInteger(port) || port < 1 || port > 65_535) return false;
  if (isLoopback(ip)) return loopback;
  switch (isIP(ip)) {
    case 4:
      return !NO_NODE_4.check(ip, 'ipv4');
    case 6:
      return !NO_NODE_6.check(ip, 'ipv6');
    default:
      return false;
  }
}

/** Whether a loopback address can lead to another node: one of those that this node announces is loopback. */
export function announcesLoopback(announced: readonly Multiaddr[]): boolean {
  return announced.some((address) => isLoopback(tcpAddress(address)?.ip ?? ''));
}

/**
 * Those of a peer's addresses that this node may dial: at which another node can be, and no registries.
 *
 * @param allows whether a node can be at the address
 * @param names whether host names are dialled as well, as an administrator may give them
 */
export function dialable(
  addresses: readonly Multiaddr[],
  allows: (socket: SocketAddress) => boolean,
  names = false,
): Multiaddr[] {
  return addresses.filter((address) => {
    if (isRegistryAddress(address)) return false;
    const socket = tcpAddress(address);
    if (socket !== undefined) return allows(socket);
    return names && address.getComponents()[0]?.name.startsWith('dns') === true;
  });
}

function toText(ip: string, port: number): string {
  return `/${isIPv6(ip) ? 'ip6' : 'ip4'}/${ip}/tcp/${String(port)}`;
}
