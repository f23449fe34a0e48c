import type { Multiaddr } from '@multiformats/multiaddr';

import { hostOfIp } from '../../membership/host-of-ip.ts';
import { isLoopback, tcpAddress } from './announced-addresses.ts';

/** A loopback address of IPv4 in the form of IPv6, as a multiaddr prints it. */
const MAPPED_LOOPBACK = /^::ffff:(?:127\.|7f[0-9a-f]{2}:)/;

/** The host of an address, see {@link hostOfIp}. An address of a name is a host of its own. */
export function hostOf(address: Multiaddr): string {
  return hostOfIp(tcpAddress(address)?.ip ?? address.toString());
}

/** The host of a remote address; undefined for one at this host itself, whose processes count one by one. */
export function remoteHostOf(address: Multiaddr): string | undefined {
  const ip = tcpAddress(address)?.ip ?? '';
  return isLoopback(ip) || MAPPED_LOOPBACK.test(ip) ? undefined : hostOf(address);
}
