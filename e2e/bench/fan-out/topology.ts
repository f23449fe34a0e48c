import { rm } from 'node:fs/promises';
import { join } from 'node:path';

import { ContainerdNode } from '../../harness/containerd-node.ts';
import { containerdRelease } from '../../harness/containerd-versions.ts';
import { makeImage, REGISTRY } from '../../harness/fixtures.ts';
import { Network, type Host } from '../../harness/namespaces.ts';
import { Upstream } from '../../harness/upstream.ts';
import { Nginx } from '../support/nginx.ts';
import { NodeAgents } from './agents.ts';
import { prepareKernel, shapeLink, useUsualTcp } from './links.ts';
import type { FanOutOptions, LinkRates } from './options.ts';

/**
 * The nodes and the registry: each has a network namespace of its own, and a link of its own to one bridge. The
 * agents of the nodes run while a case needs them.
 */
export class Topology implements AsyncDisposable {
  readonly nodes: readonly ContainerdNode[];
  readonly agents: NodeAgents;
  readonly upstream: Upstream;
  /** Where nodes reach the registry. */
  readonly origin: string;
  readonly #network: Network;
  readonly #resources: AsyncDisposableStack;

  private constructor(
    network: Network,
    nodes: readonly ContainerdNode[],
    agents: NodeAgents,
    upstream: Upstream,
    origin: string,
    resources: AsyncDisposableStack,
  ) {
    this.#network = network;
    this.nodes = nodes;
    this.agents = agents;
    this.upstream = upstream;
    this.origin = origin;
    this.#resources = resources;
  }

  static async open(
    options: Pick<FanOutOptions, 'nodes' | 'suite' | 'parallelFetchBytes' | 'throttle'>,
    hasFanOut: boolean,
  ): Promise<Topology> {
    prepareKernel();
    await using resources = new AsyncDisposableStack();
    const network = resources.use(await Network.create());
    const registry = await network.addHost('upstream');
    await useUsualTcp(registry);
    const upstream = resources.use(await Upstream.start(registry));
    const { throttle } = options;
    const front =
      throttle === undefined
        ? undefined
        : await Nginx.proxy(registry, upstream.origin, { connectionRate: (throttle * 1e6) / 8 });
    const origin = front === undefined ? upstream.origin : resources.use(front).origin;
    const release = await containerdRelease(options.suite);
    const fetchBufferBytes = options.parallelFetchBytes;
    const nodes: ContainerdNode[] = [];
    for (let index = 0; index < options.nodes; index += 1) {
      const host = await network.addHost(`n${index}`);
      await useUsualTcp(host);
      nodes.push(resources.use(await ContainerdNode.start({ host, release, fetchBufferBytes })));
    }
    await holdSomething(nodes);
    const agents = resources.use(
      new NodeAgents(nodes, hasFanOut, { registry: upstream.registry, origin }),
    );
    return new Topology(network, nodes, agents, upstream, origin, resources.move());
  }

  /** Adds a machine without a containerd, whose link stays as it is. */
  async addHost(name: string): Promise<Host> {
    const host = await this.#network.addHost(name);
    await useUsualTcp(host);
    return host;
  }

  /** Shapes all links. */
  async shape({ node, upstream }: LinkRates): Promise<void> {
    await shapeLink(this.upstream.host, upstream);
    for (const { host } of this.nodes) await shapeLink(host, node);
  }

  /** Removes an image from all nodes and the registry, so that a run needs no more disk than one image on each. */
  async forget(name: string): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.removeImage(name)));
    // What it remembers of these blobs does no harm: their digests never come again.
    const stored = join(this.upstream.host.directory, 'registry', 'docker');
    await rm(stored, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

/**
 * Gives the nodes a small image, as every node in use has some: containerd makes the folder of its blobs with the first
 * of them, and until then an agent has to ask it by gRPC for each.
 */
async function holdSomething(nodes: readonly ContainerdNode[]): Promise<void> {
  const { archive } = await makeImage({
    name: `${REGISTRY}/bench/other:1.0`,
    layers: [{ files: 1 }],
  });
  for (const node of nodes) await node.importArchive(archive);
}
