import { sumOfSamples } from '../metric-text.ts';
import type { NodeMirror } from '../mirror.ts';
import type { KubePod } from './kube-pod.ts';

/**
 * The mirror of an agent in a pod, at a port of the node, as containerd uses it.
 *
 * @param headers sent with each request, as the credentials in a hosts.toml are
 */
export function agentAt(
  { machine }: KubePod,
  port: number,
  headers: Readonly<Record<string, string>> = {},
): NodeMirror {
  const { containerd: node } = machine;
  return {
    node,
    fetch: (path, init) => {
      const url = `http://${node.host.address}:${port}${path}`;
      const given = (init?.headers ?? {}) as Readonly<Record<string, string>>;
      return node.host.fetch(url, { ...init, headers: { ...headers, ...given } });
    },
  };
}

/** Bytes of content that the agent in the pod has received from its peers so far. */
export async function bytesFromPeers({ machine, address }: KubePod, port: number): Promise<number> {
  const response = await machine.containerd.host.fetch(`http://${address}:${port}/metrics`);
  const labels = { direction: 'received' };
  return sumOfSamples(await response.text(), 'peerglass_peer_bytes_total', labels);
}

/** How many connections have come to a port of the node, but for those from other machines' pods. */
export async function connectionsTo({ machine }: KubePod, port: number): Promise<number> {
  const list = ['iptables', '-w', '-t', 'nat', '-vnxL'] as const;
  const rules = await machine.containerd.host.execute(list);
  const counts = rules
    .split('\n')
    .filter((line) => line.includes(`dpt:${port} `) && line.includes(' to:'))
    .map((line) => Number(line.trim().split(/\s+/)[0]));
  return counts.reduce((sum, count) => sum + count, 0);
}
