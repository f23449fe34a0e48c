import { BlockList, isIP, isIPv6 } from 'node:net';

import { multiaddr } from '@multiformats/multiaddr';
import type { Multiaddr } from '@multiformats/multiaddr';

/** IP addresses announced at most; a node with container bridges has many that lead nowhere. */
const MAX_ANNOUNCED_ADDRESSES = 8;

/** Where no node can be: unspecified, link-local, multicast, and reserved up to broadcast. */
const NO_NODE_4 = new BlockList();
NO_NODE_4.addSubnet('0.0.0.0', 8, 'ipv4');
NO_NODE_4.addSubnet('169.254.0.0', 16, 'ipv4');
NO_NODE_4.addSubnet('224.0.0.0', 3, 'ipv4');

/**
 * The same for IPv6, and IPv4 in disguise (mapped, compatible): no node announces itself like that. A list of
 * its own because Node.js takes every IPv4 address for one of `::ffff:0:0/96`.
 */
const NO_NODE_6 = new BlockList();
NO_NODE_6.addSubnet('::', 96, 'ipv6');
NO_NODE_6.addSubnet('::ffff:0:0', 96, 'ipv6');
NO_NODE_6.addSubnet('fe80::', 10, 'ipv6');
NO_NODE_6.addSubnet('ff00::', 8, 'ipv6');

/** The port of a registry that is not announced: Spegel's default and ours. */
export const DEFAULT_REGISTRY_PORT = 5000;

/** Where a node's registry is. */
export interface RegistryPlace {
  readonly port: number;
  /** Whether it speaks TLS there. */
  readonly tls: boolean;
}

/** An IP address and a TCP port. */
export interface SocketAddress {
  readonly ip: string;
  readonly port: number;
}

/**
 * What a node tells others about where it is, from the addresses that it listens on at present: those that
 * can lead to it from elsewhere (loopback only when there is nothing else, link-local never), and for each
 * IP its registry as `/ip4/<ip>/tcp/<port>/http` when that is not at {@link DEFAULT_REGISTRY_PORT}, or as
 * `/ip4/<ip>/tcp/<port>/tls/http`, which tells a node of ours to ask by https. Spegel takes the IP out of any address and assumes its own registry port: addresses of this form tell it nothing,
 * and each further address that it knows of us makes it wait 15 ms more before it believes the first.
 */
export function announcedAddresses(
  listening: readonly Multiaddr[],
  registry?: RegistryPlace,
): Multiaddr[] {
  const sockets = listening.map(tcpAddress).filter((socket) => socket !== undefined);
  const routable = sockets.filter((socket) => leadsToNode(socket, false));
  const announced =
    routable.length > 0 ? routable : sockets.filter((socket) => leadsToNode(socket, true));
  const texts = new Set<string>();
  for (const { ip, port } of announced.slice(0, MAX_ANNOUNCED_ADDRESSES)) {
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

/** Whether the address says where a peer's registry is. */
export function isRegistryAddress(address: Multiaddr): boolean {
  return registryScheme(address) !== undefined;
}

/** How a peer's registry is to be asked at the address; `undefined` when none is there. */
export function registryScheme(address: Multiaddr): 'http' | 'https' | undefined {
  const [, , first, second] = address.getComponents();
  if (first?.name === 'http') return 'http';
  // `/https` is the older way to write `/tls/http`.
  if (first?.name === 'https') return 'https';
  return first?.name === 'tls' && second?.name === 'http' ? 'https' : undefined;
}

export function isLoopback(ip: string): boolean {
  return ip === '::1' || ip.startsWith('127.');
}

/**
 * Whether another node can be at the address. A peer that names one where none can be would have us talk
 * to something else, maybe to what trusts its own host: the metadata service of a cloud, for one.
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

function toText(ip: string, port: number): string {
  return `/${isIPv6(ip) ? 'ip6' : 'ip4'}/${ip}/tcp/${String(port)}`;
}
