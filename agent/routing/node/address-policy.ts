import { BlockList, isIP } from 'node:net';
import { networkInterfaces } from 'node:os';

import type { Multiaddr } from '@multiformats/multiaddr';

import { CLOUD_SERVICES, IPV4_IN_IPV6 } from '../../addresses/cloud-services.ts';
import { isLoopback, leadsToNode, tcpAddress, type SocketAddress } from './announced-addresses.ts';

/**
 * Addresses of no node, unless the host has a network there itself. They belong to services of clouds, which trust each
 * client on a machine of that cloud, or to IPv6 prefixes that contain an IPv4 address.
 */
const NO_NODES: readonly string[] = [
  ...CLOUD_SERVICES,
  ...IPV4_IN_IPV6,
  '64:ff9b::/96', // NAT64 (RFC 6052)
];
/** How long the networks of the host are taken for the same, in milliseconds. */
const INTERFACES_MS = 10_000;
/** Maximum number of addresses that an administrator has named. */
const MAX_CONFIGURED = 1000;

/** A network of this host, as of `os.networkInterfaces()`. */
interface Interface {
  readonly cidr: string | null;
  readonly internal: boolean;
}

/** Options of {@link AddressPolicy}. */
export interface AddressPolicyInit {
  /** Networks in which there are no nodes, as `10.96.0.0/12` or one address; see `--refused-networks`. */
  readonly refused?: readonly string[];
  /** Whether a loopback address can lead to another node: this node announces one itself. */
  readonly loopback: () => boolean;
  /** Called with each address that is refused. */
  readonly onRefused?: (address: string) => void;
  /** The networks of this host. Default: of the system. */
  readonly interfaces?: () => readonly Interface[];
}

/**
 * At which addresses this node looks for other nodes. Peers name addresses, their own and those of others, so that one of
 * them could have this node connect with whatever trusts it: its own ports, the metadata of its cloud, the API server.
 */
export class AddressPolicy {
  readonly #init: AddressPolicyInit;
  readonly #refused: BlockList;
  /** Networks that are refused although the host may be in one of the same range. */
  readonly #always: BlockList;
  readonly #configured = new Set<string>();
  #own = new BlockList();
  #ownReadAt = -INTERFACES_MS;

  /** @throws Error when a network is malformed */
  constructor(init: AddressPolicyInit) {
    this.#init = init;
    const refused = init.refused ?? [];
    this.#refused = blockList([...NO_NODES, ...refused]);
    this.#always = blockList(refused.filter(isSingle));
  }

  /** Whether a node may be at the address that a peer has named. */
  allows(socket: SocketAddress): boolean {
    const isAllowed = leadsToNode(socket, this.#init.loopback()) && !this.#isElsewhere(socket.ip);
    if (!isAllowed) this.#init.onRefused?.(`${socket.ip}:${String(socket.port)}`);
    return isAllowed;
  }

  /** Whether the address may be dialled. A host name is resolved before this is asked. */
  allowsDial(address: Multiaddr): boolean {
    const socket = tcpAddress(address);
    if (socket === undefined) return true;
    return (isLoopback(socket.ip) && this.#configured.has(socket.ip)) || this.allows(socket);
  }

  /** Lets a loopback address be dialled that an administrator has named: another node on this host. */
  configure(address: Multiaddr): void {
    const ip = tcpAddress(address)?.ip ?? '';
    if (isLoopback(ip) && this.#configured.size < MAX_CONFIGURED) this.#configured.add(ip);
  }

  #isElsewhere(ip: string): boolean {
    if (contains(this.#always, ip)) return true;
    return contains(this.#refused, ip) && !contains(this.#ownNetworks(), ip);
  }

  #ownNetworks(): BlockList {
    if (performance.now() - this.#ownReadAt > INTERFACES_MS) {
      const all = (this.#init.interfaces ?? systemInterfaces)();
      const networks = all.flatMap(({ cidr, internal }) =>
        cidr === null || internal ? [] : [cidr],
      );
      // Without a zone, which `BlockList` does not take.
      this.#own = blockList(networks.filter((network) => !network.includes('%')));
      this.#ownReadAt = performance.now();
    }
    return this.#own;
  }
}

/**
 * Networks of the cluster's Services, from the variable that Kubernetes gives each pod: the address of the API server, and
 * the /24 (IPv6: /112) around it, since Services are in a network of that size at least, and no node or pod is in it.
 */
export function serviceNetworks(apiServer: string | undefined): readonly string[] {
  const version = isIP(apiServer ?? '');
  if (apiServer === undefined || version === 0) return [];
  return version === 4
    ? [`${apiServer}/32`, `${apiServer}/24`]
    : [`${apiServer}/128`, `${apiServer}/112`];
}

function systemInterfaces(): readonly Interface[] {
  return Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
}

/** Whether a network is one address. */
function isSingle(network: string): boolean {
  const [ip = '', bits] = network.split('/');
  return bits === undefined || bits === (isIP(ip) === 6 ? '128' : '32');
}

function contains(list: BlockList, ip: string): boolean {
  return list.check(ip, isIP(ip) === 6 ? 'ipv6' : 'ipv4');
}

/** @throws Error when a network is malformed */
function blockList(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [ip = '', bits] = network.split('/');
    const family = isIP(ip) === 6 ? 'ipv6' : 'ipv4';
    if (bits === undefined) list.addAddress(ip, family);
    else list.addSubnet(ip, Number(bits), family);
  }
  return list;
}
