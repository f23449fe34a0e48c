import { readFileSync } from 'node:fs';
import { isIPv6, SocketAddress } from 'node:net';
import { networkInterfaces } from 'node:os';

/** How long the addresses of this host are remembered, in milliseconds. */
const MAX_AGE_MS = 10_000;

/** What {@link LocalClients} reads from the system; tests have their own. */
export interface LocalClientsComponents {
  /** Addresses of the interfaces of this network namespace. */
  readonly interfaces?: () => readonly string[];
  /** Addresses of the default gateways of this network namespace. */
  readonly gateways?: () => readonly string[];
  /** Milliseconds of a monotonic clock. */
  readonly now?: () => number;
}

/** What {@link LocalClients} cannot find out. */
export interface LocalClientsInit {
  /** IPs of the node, which an agent in a pod does not see. Default: none. */
  readonly nodeAddresses?: readonly string[];
}

/**
 * Decides by its address whether a client is on this node, as the node's containerd is. These are loopback, the addresses
 * of this network namespace, and those of the node.
 *
 * An agent in a pod is reached from its node with the IP of the node (a host port keeps it), or with the IP of the pod's
 * gateway, which is the node's end of the pod network. The node replaces the address of some clients by its own, as
 * kube-proxy does for a NodePort; those count as local. A pod of the node keeps its own IP, and is not local.
 */
export class LocalClients {
  readonly #interfaces: () => readonly string[];
  readonly #gateways: () => readonly string[];
  readonly #now: () => number;
  readonly #node: readonly string[];
  #local: ReadonlySet<string> = new Set();
  #readAt = -Infinity;

  constructor(
    components: LocalClientsComponents = {},
    { nodeAddresses = [] }: LocalClientsInit = {},
  ) {
    this.#interfaces = components.interfaces ?? ownAddresses;
    this.#gateways = components.gateways ?? defaultGateways;
    this.#now = components.now ?? (() => performance.now());
    this.#node = nodeAddresses.map(plainAddress);
  }

  /** @param address remote address of a connection; `undefined` when it is closed, which is not local */
  readonly has = (address: string | undefined): boolean => {
    if (address === undefined) return false;
    const ip = plainAddress(address);
    return isLoopback(ip) || this.#addresses().has(ip);
  };

  #addresses(): ReadonlySet<string> {
    if (this.#now() - this.#readAt < MAX_AGE_MS) return this.#local;
    this.#readAt = this.#now();
    const own = this.#interfaces().map(plainAddress);
    // On the node itself the gateway is a router, and its clients are anyone.
    const inPod = this.#node.length > 0 && !this.#node.some((ip) => own.includes(ip));
    const gateways = inPod ? this.#gateways().map(plainAddress) : [];
    this.#local = new Set([...this.#node, ...own, ...gateways]);
    return this.#local;
  }
}

/** One text for each address: IPv4 without its IPv6 form, IPv6 without a zone and in its shortest form. */
export function plainAddress(address: string): string {
  const [, v4] = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address) ?? [];
  if (v4 !== undefined) return v4;
  const [ip = ''] = address.split('%');
  return isIPv6(ip) ? new SocketAddress({ address: ip, family: 'ipv6' }).address : ip;
}

/** The other end of a connection as logs have it: its {@link plainAddress}, in brackets where it is IPv6, and the port. */
export function withPort(address: string, port = 0): string {
  const ip = plainAddress(address);
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}

/** @param address remote address of a connection; `undefined` when it is closed, which is not on loopback */
export function isOnLoopback(address: string | undefined): boolean {
  return address !== undefined && isLoopback(plainAddress(address));
}

function isLoopback(ip: string): boolean {
  return ip === '::1' || ip.startsWith('127.');
}

function ownAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap(
    (own) => own?.map(({ address }) => address) ?? [],
  );
}

function defaultGateways(): string[] {
  return parseGateways(readText('/proc/net/route'), readText('/proc/net/ipv6_route'));
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return ''; // Without /proc, or without IPv6, there is none.
  }
}

/**
 * The gateways of the default routes.
 *
 * @param v4 the text of /proc/net/route
 * @param v6 the text of /proc/net/ipv6_route
 */
export function parseGateways(v4: string, v6: string): string[] {
  const gateways: string[] = [];
  for (const line of v4.split('\n')) {
    const [, destination, gateway = ''] = line.split('\t');
    if (destination !== '00000000' || !/^[\dA-F]{8}$/i.test(gateway)) continue;
    // In the order of bytes of the processor, which is little-endian on all platforms of ours.
    gateways.push(Buffer.from(gateway, 'hex').reverse().join('.'));
  }
  for (const line of v6.split('\n')) {
    const [destination = '', length, , , gateway = ''] = line.split(' ');
    if (!/^0{32}$/.test(destination) || length !== '00' || !/^[\da-f]{32}$/i.test(gateway))
      continue;
    gateways.push((gateway.match(/.{4}/g) ?? []).join(':'));
  }
  return gateways.map(plainAddress).filter((ip) => ip !== '0.0.0.0' && ip !== '::');
}
