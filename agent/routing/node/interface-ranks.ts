import { existsSync, readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';

/** How likely another node reaches an interface. Lower is likelier. */
export const INTERFACE_RANK = { default: 0, other: 1, bridge: 2 } as const;

/** Interfaces of container networks: their addresses lead nowhere, or on each node to itself. */
const CONTAINER_NETWORK =
  /^(?:docker|br-|cni|cbr|flannel|cali|tunl|vxlan|veth|lxc|lxd|virbr|weave|cilium|antrea|ovn|genev|podman|kube-|nodelocaldns|dummy)/;

/** Where the kernel describes its network; another folder in tests. */
export interface NetworkFolders {
  /** Default `/proc/net`. */
  readonly proc?: string;
  /** Default `/sys/class/net`. */
  readonly sys?: string;
}

/**
 * The rank of each address of this host, by its interface: first those with a default route, last the bridges of
 * container networks. VLANs, bonds and secondary addresses rank like the interface that they are of.
 *
 * @param interfaces names and addresses, as of `os.networkInterfaces()`
 */
export function interfaceRanks(
  interfaces: Readonly<
    Record<string, readonly { readonly address: string }[] | undefined>
  > = networkInterfaces(),
  { proc = '/proc/net', sys = '/sys/class/net' }: NetworkFolders = {},
): Map<string, number> {
  const defaults = new Set([
    ...defaultsOf(join(proc, 'route'), (fields) =>
      fields[1] === '00000000' && fields[7] === '00000000' ? fields[0] : undefined,
    ),
    ...defaultsOf(join(proc, 'ipv6_route'), (fields) =>
      fields[0] === '0'.repeat(32) && fields[1] === '00' ? fields[9] : undefined,
    ),
  ]);
  // The kernel's own entry for what has no route.
  defaults.delete('lo');
  const ranks = new Map<string, number>();
  for (const [name, addresses = []] of Object.entries(interfaces)) {
    const rank = defaults.has(name)
      ? INTERFACE_RANK.default
      : CONTAINER_NETWORK.test(name) || existsSync(join(sys, name, 'bridge'))
        ? INTERFACE_RANK.bridge
        : INTERFACE_RANK.other;
    for (const { address } of addresses) {
      ranks.set(address, Math.min(rank, ranks.get(address) ?? rank));
    }
  }
  return ranks;
}

/** Names of the interfaces with a default route; none on a system without such a table. */
function defaultsOf(path: string, read: (fields: string[]) => string | undefined): string[] {
  try {
    const lines = readFileSync(path, 'utf8').split('\n');
    return lines.map((line) => read(line.trim().split(/\s+/))).filter((name) => name !== undefined);
  } catch {
    return [];
  }
}
