import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { AgentProcess, type AgentInit } from './agent-process.ts';
import { ContainerdNode } from './containerd-node.ts';
import { containerdRelease, type Suite } from './containerd-versions.ts';
import { Network, type Host } from './namespaces.ts';
import { Upstream } from './upstream.ts';

/** A node of a cluster: its containerd, and how its agent starts. */
export interface NodeSpec {
  readonly suite: Suite;
  /** Default: the suite's name. Short. */
  readonly name?: string;
  readonly fetchBufferBytes?: number;
  readonly fetchStreams?: number;
  readonly flags?: AgentInit['flags'];
  readonly env?: AgentInit['env'];
  readonly program?: AgentInit['program'];
  readonly nodeFlags?: AgentInit['nodeFlags'];
  readonly logLevel?: AgentInit['logLevel'];
}

/** A machine of the cluster: a containerd and its agent. */
export interface ClusterNode {
  readonly name: string;
  readonly host: Host;
  readonly containerd: ContainerdNode;
  readonly agent: AgentProcess;
}

/** Nodes on a private network, each with containerd and an agent. Every agent has all others as bootstrap peers. */
export class Cluster implements AsyncDisposable {
  readonly network: Network;
  readonly nodes: readonly ClusterNode[];
  readonly #resources: AsyncDisposableStack;

  private constructor(
    network: Network,
    nodes: readonly ClusterNode[],
    resources: AsyncDisposableStack,
  ) {
    this.network = network;
    this.nodes = nodes;
    this.#resources = resources;
  }

  static async start(specs: readonly NodeSpec[]): Promise<Cluster> {
    await using resources = new AsyncDisposableStack();
    const network = resources.use(await Network.create());
    const daemons: ContainerdNode[] = [];
    for (const spec of specs) {
      const host = await network.addHost(spec.name ?? spec.suite);
      const release = await containerdRelease(spec.suite);
      const { fetchBufferBytes, fetchStreams } = spec;
      const node = await ContainerdNode.start({ host, release, fetchBufferBytes, fetchStreams });
      daemons.push(resources.use(node));
    }
    const nodes: ClusterNode[] = [];
    for (const [index, containerd] of daemons.entries()) {
      const { flags, env, program, nodeFlags, logLevel } = specs[index] ?? {};
      const peers = daemons.filter((it) => it !== containerd).map((it) => it.host.address);
      const how = { flags, env, program, nodeFlags, logLevel };
      const agent = resources.use(await AgentProcess.launch({ node: containerd, peers, ...how }));
      nodes.push({ name: containerd.host.name, host: containerd.host, containerd, agent });
    }
    await Promise.all(nodes.map(({ agent }) => agent.ready()));
    return new Cluster(network, nodes, resources.move());
  }

  /** The node of this name. */
  node(name: string): ClusterNode {
    const node = this.nodes.find((it) => it.name === name);
    if (node === undefined) throw new Error(`no node ${name}`);
    return node;
  }

  /** Adds a registry to the network, ended with the cluster at the latest. */
  async addUpstream(name = 'upstream'): Promise<Upstream> {
    return this.#resources.use(await Upstream.start(await this.network.addHost(name)));
  }

  /** Removes all images from all nodes, so that the next scenario begins with nothing. */
  async clear(): Promise<void> {
    await Promise.all(this.nodes.map(({ containerd }) => containerd.removeImage()));
  }

  /**
   * Copies the logs of agents and daemons.
   *
   * @param folder receives the logs
   * @returns the last lines of the agents, for the report of a failure
   */
  async saveLogs(folder: string): Promise<string> {
    const tails: string[] = [];
    await mkdir(folder, { recursive: true });
    for (const { name, host, agent } of this.nodes) {
      for (const log of ['agent.log', 'containerd.log']) {
        await copyFile(join(host.directory, log), join(folder, `${name}-${log}`));
      }
      const lines = (await agent.logTail(8)).split('\n').map((line) => line.slice(0, 300));
      tails.push(`agent on ${name}:`, ...lines);
    }
    return tails.join('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}
