import type { Multiaddr } from '@multiformats/multiaddr';

import { isLoopback, tcpAddress } from './announced-addresses.ts';

/** A loopback address of IPv4 in the form of IPv6, as a multiaddr prints it. */
const MAPPED_LOOPBACK = /^::ffff:(?:127\.|7f[0-9a-f]{2}:)/;

/**
 * The host of an address, for bounds that hold for each host: the IPv4 address, or the /64 of an IPv6 address, of which a
 * host has as many addresses as it likes. Another address, such as that of a name, is a host of its own.
 */
export function hostOf(address: Multiaddr): string {
  const ip = tcpAddress(address)?.ip ?? address.toString();
  if (!ip.includes(':')) return ip;
  // An IPv4 address as a socket for both families has it.
  if (ip.startsWith('::ffff:')) return ip;
  const [head = '', tail = ''] = ip.split('::');
  const groups = head.split(':').filter(Boolean);
  const rest = tail.split(':').filter(Boolean);
  const zeros = Array<string>(Math.max(0, 8 - groups.length - rest.length)).fill('0');
  return [...groups, ...zeros, ...rest].slice(0, 4).join(':');
}

/** The host of a remote address; undefined for one at this host itself, whose processes count one by one. */
export function remoteHostOf(address: Multiaddr): string | undefined {
  const ip = tcpAddress(address)?.ip ?? '';
  return isLoopback(ip) || MAPPED_LOOPBACK.test(ip) ? undefined : hostOf(address);
}
