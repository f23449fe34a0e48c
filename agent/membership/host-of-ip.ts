const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;
/** Groups of 16 bits in an IPv6 address, and those of its network, which a host has to itself. */
const GROUPS = 8;
const NETWORK_GROUPS = 4;

/**
 * The host of an IP address, for bounds that hold for each host: the IPv4 address, or the /64 of an IPv6 address, of which a
 * host has as many addresses as it likes. Another text is a host of its own.
 */
export function hostOfIp(ip: string): string {
  if (!ip.includes(':')) return ip;
  // An IPv4 address as a socket for both families has it, in text or in hexadecimal digits.
  const [, v4] = MAPPED.exec(ip) ?? [];
  if (v4 !== undefined) return v4;
  if (ip.startsWith('::ffff:')) return ip;
  const [head = '', tail = ''] = ip.split('::');
  const groups = head.split(':').filter(Boolean);
  const rest = tail.split(':').filter(Boolean);
  const zeros = Array<string>(Math.max(0, GROUPS - groups.length - rest.length)).fill('0');
  return [...groups, ...zeros, ...rest].slice(0, NETWORK_GROUPS).join(':');
}
