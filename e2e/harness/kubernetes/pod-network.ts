import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Host } from '../namespaces.ts';
import { runName } from '../run.ts';

/** The pods of the n-th node. */
function subnet(index: number): string {
  return `10.215.${index}.0/24`;
}

/**
 * Makes the n-th node's containerd give pods a network of their own: a bridge on the node, and host ports by iptables.
 * To be called before it starts.
 */
export async function configurePodNetwork(host: Host, index: number): Promise<void> {
  const folder = join(host.directory, 'cni');
  await mkdir(folder);
  const network = {
    cniVersion: '0.4.0',
    name: `${runName()}-${host.name}`,
    plugins: [
      {
        type: 'bridge',
        bridge: 'cni0',
        isGateway: true,
        hairpinMode: true,
        ipam: {
          type: 'host-local',
          // All nodes have one disk.
          dataDir: join(host.directory, 'pod-addresses'),
          ranges: [[{ subnet: subnet(index) }]],
          routes: [{ dst: '0.0.0.0/0' }],
        },
      },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  };
  await writeFile(join(folder, '10-pods.conflist'), JSON.stringify(network));
}

/** Tells a machine the way to the pods of all nodes, but for its own. */
export async function addPodRoutes(machine: Host, nodes: readonly Host[]): Promise<void> {
  for (const [index, node] of nodes.entries()) {
    if (node === machine) continue;
    await machine.execute(['ip', 'route', 'add', subnet(index), 'via', node.address]);
  }
}
