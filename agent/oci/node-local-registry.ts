import { BlockList, isIP } from 'node:net';

/** Addresses at which every node reaches itself: loopback, and the unspecified address, which Linux takes for it. */
const OWN_ADDRESSES = new BlockList();
OWN_ADDRESSES.addSubnet('127.0.0.0', 8, 'ipv4');
OWN_ADDRESSES.addSubnet('0.0.0.0', 8, 'ipv4');
OWN_ADDRESSES.addAddress('::1', 'ipv6');
OWN_ADDRESSES.addAddress('::', 'ipv6');

/** Names of loopback that distributions write into /etc/hosts. RFC 6761 reserves `localhost` and all names below it. */
const OWN_NAMES =
  /^(?:(?:.+\.)?localhost|localhost[46]|localhost[46]?\.localdomain[46]?|ip6-(?:localhost|loopback))\.?$/;

/**
 * Whether the registry is the node's own: `localhost`, a loopback address or a name like these, with or without a port.
 * Each node has another registry there (or all have the same node port, which no node can know), so that a tag of it
 * means nothing on another node.
 */
export function isNodeLocalRegistry(registry: string): boolean {
  const [, bracketed, bare = registry] = /^(?:\[([^\]]*)\]|([^:]*))(?::\d+)?$/.exec(registry) ?? [];
  const host = (bracketed ?? bare).toLowerCase();
  const family = isIP(host);
  if (family === 0) return OWN_NAMES.test(host) || /^127(?:\.\d+){0,3}$/.test(host);
  return OWN_ADDRESSES.check(host, family === 6 ? 'ipv6' : 'ipv4');
}
