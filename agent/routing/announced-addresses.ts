import { isIPv6 } from 'node:net';

import { multiaddr } from '@multiformats/multiaddr';
import type { Multiaddr } from '@multiformats/multiaddr';

/** IP addresses announced at most; a node with container bridges has many that lead nowhere. */
const MAX_ANNOUNCED_ADDRESSES = 8;

/** An IP address and a TCP port. */
export interface SocketAddress {
  readonly ip: string;
  readonly port: number;
}

/**
 * What a node tells others about where it is, from the addresses that it listens on at present: those that
 * can lead to it from elsewhere (loopback only when there is nothing else, link-local never), and for each
 * IP its registry as `/ip4/<ip>/tcp/<port>/http`. Spegel takes the IP out of any address and assumes its own
 * registry port, so that addresses of this form tell it nothing new, and libp2p does not dial them.
 */
export function announcedAddresses(
  listening: readonly Multiaddr[],
  registryPort?: number,
): Multiaddr[] {
  const sockets = listening.map(tcpAddress).filter((socket) => socket !== undefined);
  const routable = sockets.filter(({ ip }) => !isLoopback(ip) && !isLinkLocal(ip));
  const announced = routable.length > 0 ? routable : sockets.filter(({ ip }) => isLoopback(ip));
  const texts = new Set<string>();
  for (const { ip, port } of announced.slice(0, MAX_ANNOUNCED_ADDRESSES)) {
    texts.add(toText(ip, port));
    if (registryPort !== undefined) texts.add(`${toText(ip, registryPort)}/http`);
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
  return address.getComponents()[2]?.name === 'http';
}

export function isLoopback(ip: string): boolean {
  return ip === '::1' || ip.startsWith('127.');
}

function isLinkLocal(ip: string): boolean {
  return ip.startsWith('169.254.') || /^fe[89ab]/i.test(ip);
}

function toText(ip: string, port: number): string {
  return `/${isIPv6(ip) ? 'ip6' : 'ip4'}/${ip}/tcp/${String(port)}`;
}
