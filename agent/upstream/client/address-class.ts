import { lookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

import { CLOUD_SERVICES, IPV4_IN_IPV6 } from '../../addresses/cloud-services.ts';

/** In which kind of network an address is. `reserved` holds what no registry is ever at, such as the metadata of clouds. */
export type AddressClass = 'public' | 'private' | 'loopback' | 'link-local' | 'reserved';

const RANGES: Readonly<Record<Exclude<AddressClass, 'public'>, readonly string[]>> = {
  reserved: [
    ...CLOUD_SERVICES,
    ...IPV4_IN_IPV6,
    '192.0.0.0/24',
    '224.0.0.0/4', // multicast
    '240.0.0.0/4',
    'ff00::/8', // multicast
  ],
  loopback: ['127.0.0.0/8', '0.0.0.0/8', '::1/128', '::/128'],
  'link-local': ['169.254.0.0/16', 'fe80::/10'],
  private: [
    '10.0.0.0/8',
    '172.16.0.0/12',
    '192.168.0.0/16',
    '100.64.0.0/10',
    '198.18.0.0/15',
    'fc00::/7',
  ],
};

/** In this order: an address of metadata may lie in a private network. */
const LISTS = (Object.keys(RANGES) as (keyof typeof RANGES)[]).map((name) => {
  const list = new BlockList();
  for (const range of RANGES[name]) {
    const [network = '', bits] = range.split('/');
    list.addSubnet(network, Number(bits), network.includes(':') ? 'ipv6' : 'ipv4');
  }
  return [name, list] as const;
});

/** The class of an IP address; an IPv4 address inside of an IPv6 one counts as itself. */
export function addressClass(ip: string): AddressClass {
  const plain = embedded(ip) ?? ip;
  const type = isIP(plain) === 6 ? 'ipv6' : 'ipv4';
  return LISTS.find(([, list]) => list.check(plain, type))?.[0] ?? 'public';
}

/** The IPv4 address in a mapped one (`::ffff:`), or in one of NAT64 (`64:ff9b::`, RFC 6052), which leads to it. */
function embedded(ip: string): string | undefined {
  if (isIP(ip) !== 6) return undefined;
  const { hostname } = new URL(`http://[${ip.split('%')[0] ?? ip}]`);
  const [, high = '', low = ''] =
    /^\[(?:::ffff|64:ff9b:):([0-9a-f]{1,4}):([0-9a-f]{1,4})\]$/.exec(hostname) ?? [];
  if (high === '') return undefined;
  const value = Number.parseInt(high, 16) * 65_536 + Number.parseInt(low, 16);
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');
}

/** An address that a registry has named, or that a name of it leads to, is one that is not asked. */
class ForbiddenAddressError extends Error {
  override readonly name = 'ForbiddenAddressError';
  readonly code = 'ERR_FORBIDDEN_ADDRESS';
}

/** The IP address in a host of a URL; undefined for a name. */
export function literalAddress(hostname: string): string | undefined {
  const bare = hostname.replace(/^\[(.*)\]$/, '$1');
  return isIP(bare) === 0 ? undefined : bare;
}

/**
 * A look-up that gives only addresses of the allowed classes, for a connection: what is checked is what is connected with,
 * so that a name which changes its address in between gains nothing.
 */
export function guardedLookup(allowed: () => ReadonlySet<AddressClass>): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      const usable = error
        ? []
        : addresses.filter(({ address }) => allowed().has(addressClass(address)));
      const [first] = usable;
      const failure =
        error ??
        (first === undefined
          ? new ForbiddenAddressError(
              `${hostname} has no address at which a registry may send clients`,
            )
          : null);
      if (failure !== null || first === undefined) callback(failure, '', 0);
      else if (options.all === true) callback(null, usable);
      else callback(null, first.address, first.family);
    });
  };
}
